package kube

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshpol/meshpol/pkg/rollout"
)

func record(name string) rollout.Record {
	return rollout.Record{Result: "running", Name: name, Digest: "d", Rev: "ab12cd", Base: []map[string]any{{"kind": "VirtualService"}}}
}

func TestArchiveKeepsARecordWhole(t *testing.T) {
	s, c := serve(t)
	a, ctx := NewArchive(c), t.Context()
	n, err := a.Put(ctx, cart(), record("cart-timeout"))
	if err != nil || n != 1 {
		t.Fatalf("%d %v", n, err)
	}
	final := []map[string]any{{"kind": "VirtualService", "after": true}}
	for range 2 { // a run that died in the middle closes again
		if err := a.Close(ctx, cart(), n, "succeeded", "0.1 % against 0.1 %", final); err != nil {
			t.Fatal(err)
		}
	}
	all, err := a.Records(ctx, cart())
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	r := all[0]
	if r.Revision != 1 || r.Result != "succeeded" || r.Verdict != "0.1 % against 0.1 %" || len(r.Base) != 1 || len(r.Final) != 1 || r.Rev != "ab12cd" {
		t.Errorf("%+v", r)
	}
	stored := s.Object("controllerrevisions", "shop", cart().LeaseName()+"-1")
	if stored == nil || stored.GetLabels()[labelResult] != "succeeded" || len(stored.GetOwnerReferences()) != 0 {
		t.Errorf("%v", stored)
	}
}

func TestArchivePrunesTheOldestThatHaveEnded(t *testing.T) {
	s, c := serve(t)
	a, ctx := NewArchive(c), t.Context()
	for i := range 14 {
		n, err := a.Put(ctx, cart(), record(fmt.Sprint("run-", i)))
		if err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			continue // still running
		}
		if err := a.Close(ctx, cart(), n, "succeeded", "", []map[string]any{{"n": n}}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := a.Records(ctx, cart())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 11 || all[0].Revision != 14 || all[len(all)-1].Revision != 2 {
		t.Errorf("%d records, newest %d, oldest %d", len(all), all[0].Revision, all[len(all)-1].Revision)
	}
	if s.Object("controllerrevisions", "shop", cart().LeaseName()+"-1-final") != nil {
		t.Error("the second part of a pruned record is left")
	}
}

func TestArchiveRefusesWhatDoesNotFit(t *testing.T) {
	s, c := serve(t)
	r := record("big")
	r.Base = []map[string]any{{"x": strings.Repeat("y", 1<<20)}}
	_, err := NewArchive(c).Put(t.Context(), cart(), r)
	var large *TooLargeError
	if !errors.As(err, &large) || !strings.Contains(err.Error(), "split the VirtualServices") {
		t.Fatalf("%v", err)
	}
	if s.Count("POST", "controllerrevisions") != 0 {
		t.Error("something was written")
	}
}

func TestArchiveTakesTheNextNumber(t *testing.T) {
	s, c := serve(t)
	s.Fail("POST", "controllerrevisions", 1, 409, metav1.StatusReasonAlreadyExists, "already exists")
	if n, err := NewArchive(c).Put(t.Context(), cart(), record("second")); err != nil || n != 2 {
		t.Errorf("%d %v", n, err)
	}
}

func TestArchiveOfAnotherTargetIsEmpty(t *testing.T) {
	_, c := serve(t)
	a := NewArchive(c)
	if _, err := a.Put(t.Context(), cart(), record("cart")); err != nil {
		t.Fatal(err)
	}
	other := cart()
	other.Name = "web"
	if all, err := a.Records(t.Context(), other); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
}

func TestArchiveWithoutRights(t *testing.T) {
	s, c := serve(t)
	s.Deny("create", "apps", "controllerrevisions", "shop")
	_, err := NewArchive(c).Put(t.Context(), cart(), record("x"))
	var rights *RightsError
	if !errors.As(err, &rights) || rights.Resource != "controllerrevisions" {
		t.Fatalf("%v", err)
	}
}

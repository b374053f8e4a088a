package state

import (
	"strings"
	"testing"
)

func TestNewRefusesNamesThatAreNoLabels(t *testing.T) {
	for name, ok := range map[string]bool{
		"lab": true, "a": true, "ci-7": true, strings.Repeat("a", 32): true,
		"": false, "Lab": false, "-a": false, "a-": false, "a/b": false, "..": false, strings.Repeat("a", 33): false,
	} {
		if _, err := New(name); (err == nil) != ok {
			t.Errorf("New(%q): error %v, want accepted %t", name, err, ok)
		}
	}
}

func TestEverythingDerivesFromTheName(t *testing.T) {
	t.Setenv(rootVariable, "/x")
	one, err := New("one")
	if err != nil {
		t.Fatal(err)
	}
	two, err := New("two")
	if err != nil {
		t.Fatal(err)
	}
	if one.Socket() != "/x/one/lab.sock" || one.Kubeconfig() != "/x/one/kubeconfig" || one.Log("etcd") != "/x/one/logs/etcd.log" {
		t.Errorf("paths of lab one: %s %s %s", one.Socket(), one.Kubeconfig(), one.Log("etcd"))
	}
	if one.Ports() != one.Ports() || one.Ports() == two.Ports() {
		t.Errorf("ports: one %+v, two %+v; want them stable and different", one.Ports(), two.Ports())
	}
}

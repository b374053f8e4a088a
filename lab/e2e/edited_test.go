//go:build e2e

package e2e

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// TestLabelsOfOthersSurvive: what is no routing is nobody's business.
func TestLabelsOfOthersSurvive(t *testing.T) {
	s := newScene(t, 100, userCart)
	r := s.begin(short("rollout", "-f", s.timeout("cart"))...)
	s.until(r, judged("10 %"))
	s.edit("cart", "kubectl-label", func(o *unstructured.Unstructured) {
		o.SetLabels(map[string]string{"team": "shop"})
		a := o.GetAnnotations()
		a["note"] = "mine"
		o.SetAnnotations(a)
	})
	s.ends(r, 0)
	o := s.live("cart")
	if o.GetLabels()["team"] != "shop" || len(o.GetAnnotations()) != 1 || o.GetAnnotations()["note"] != "mine" {
		t.Errorf("labels %v and annotations %v, want theirs and no others", o.GetLabels(), o.GetAnnotations())
	}
	s.meshpol(0, "rollback", "cart-timeout", "-n", trial.Namespace)
	want := strings.Replace(s.before["VirtualService/cart"], `"metadata":{`, `"metadata":{"annotations":{"note":"mine"},"labels":{"team":"shop"},`, 1)
	s.same(map[string]string{"VirtualService/cart": want}, s.objects())
	s.noErrors(s.records())
}

const theirs = `{"name":"theirs","match":[{"uri":{"prefix":"/theirs"}}],"route":[{"destination":{"host":"cart.shop.svc.cluster.local"}}],"timeout":"9s"}`

// addTheirs puts an entry in front of all others.
func addTheirs(o *unstructured.Unstructured) {
	entry := map[string]any{
		"name": "theirs", "match": []any{map[string]any{"uri": map[string]any{"prefix": "/theirs"}}}, "route": to("cart"), "timeout": "9s",
	}
	spec := o.Object["spec"].(map[string]any)
	spec["http"] = append([]any{entry}, spec["http"].([]any)...)
}

// TestEditOfTheSpec: the rollout goes back, their edit stays, and the message names them.
func TestEditOfTheSpec(t *testing.T) {
	each(t, map[string]moment{"in step 0": judged("step 0"), "at 10 %": judged("10 %"), "in the bake": judged("bake"), "in the fold": judged("fold")},
		func(t *testing.T, at moment) {
			s := newScene(t, 100, userCart)
			r := s.begin(short("rollout", "--bake", "8s", "--fold-watch", "8s", "-f", s.timeout("cart"))...)
			s.until(r, at)
			s.edit("cart", "kubectl-edit", addTheirs)
			s.ends(r, 6)
			s.says(r, "kubectl-edit")
			s.phase("cart-timeout", "RolledBack")
			o := s.live("cart")
			want := s.before["VirtualService/cart"]
			spec := o.Object["spec"].(map[string]any)
			entries := spec["http"].([]any)
			s.same(map[string]string{"their entry": canonical(t, theirs)}, map[string]string{"their entry": jsonOf(t, entries[0])})
			spec["http"] = entries[1:]
			got, err := trial.Canonical(o)
			s.must(err)
			s.same(map[string]string{"all but their entry": want}, map[string]string{"all but their entry": got})
			s.noErrors(s.records())
		})
}

// TestEditOfWhatTheRolloutMade: the object did not exist before; with their entry in it, it is theirs and stays.
func TestEditOfWhatTheRolloutMade(t *testing.T) {
	s := newScene(t, 100, nil)
	r := s.begin(short("rollout", "-f", s.timeout("cart"))...)
	s.until(r, judged("10 %"))
	s.edit("cart", "kubectl-edit", addTheirs)
	s.ends(r, 6)
	s.says(r, "kubectl-edit")
	s.same(map[string]string{"VirtualService/cart": handwritten(canonical(t, theirs) + ",{" + toCart + "}")}, s.objects())
	s.noErrors(s.records())
}

// TestDeletedInTheMiddle: what somebody deleted stays deleted.
func TestDeletedInTheMiddle(t *testing.T) {
	each(t, map[string]func(*scene){"a user's": userCart, "the rollout's own": nil}, func(t *testing.T, prepare func(*scene)) {
		s := newScene(t, 100, prepare)
		r := s.begin(short("rollout", "-f", s.timeout("cart"))...)
		s.until(r, judged("10 %"))
		s.must(s.lab.Client.Resource(trial.VirtualServices).Namespace(trial.Namespace).Delete(s.ctx, "cart", metav1.DeleteOptions{}))
		s.ends(r, 6)
		s.says(r, "VirtualService shop/cart was changed by somebody else during the rollout: it was deleted")
		s.phase("cart-timeout", "RolledBack")
		s.same(map[string]string{}, s.objects())
		s.noErrors(s.records())
	})
}

//go:build e2e

package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

// ours are the names of meshpol's objects of a kind.
func (s *scene) ours(r schema.GroupVersionResource) []string {
	s.Helper()
	list, err := s.lab.Client.Resource(r).Namespace(trial.Namespace).List(s.ctx, metav1.ListOptions{})
	s.must(err)
	var out []string
	for _, o := range list.Items {
		if strings.HasPrefix(o.GetName(), "meshpol-") {
			out = append(out, o.GetName())
		}
	}
	return out
}

func (s *scene) deleteOurs(r schema.GroupVersionResource) {
	s.Helper()
	names := s.ours(r)
	if len(names) == 0 {
		s.Fatalf("there are no %s of meshpol's", r.Resource)
	}
	for _, name := range names {
		s.must(s.lab.Client.Resource(r).Namespace(trial.Namespace).Delete(s.ctx, name, metav1.DeleteOptions{}))
	}
}

// TestLeaseDeleted: a runner whose Lease is gone writes nothing any more and says so; whoever comes next is told where
// the objects as they were are kept.
func TestLeaseDeleted(t *testing.T) {
	s := newScene(t, 100, nil)
	r := s.begin(append(short("rollout", "-f", s.timeout("cart")), "--step-min", "30s", "--step-max", "60s")...)
	s.until(r, judged("10 %"))
	s.deleteOurs(leases)
	s.ends(r, 7)
	s.says(r, "its Lease was deleted")
	s.noErrors(s.records())
	s.says(s.plain(*s.lab, 7, "plan", "-f", s.timeout("cart")), "kubectl get controllerrevisions has the objects as they were")
	if len(s.ours(revisions)) == 0 {
		t.Error("there is no record")
	}
}

// TestStateThatCannotBeRead: nothing is done by a state that somebody has broken, and status says where it is.
func TestStateThatCannotBeRead(t *testing.T) {
	each(t, map[string]string{"garbage": "{", "another version": `{\"version\":99}`, "a negative step": `{\"version\":1,\"name\":\"x\",\"phase\":\"Progressing\",\"step\":-1}`}, func(t *testing.T, text string) {
		s := newScene(t, 100, nil)
		r := s.begin(append(short("rollout", "-f", s.timeout("cart")), "--step-min", "8s", "--step-max", "20s")...)
		s.until(r, judged("10 %"))
		s.must(r.Kill())
		patch := `{"metadata":{"annotations":{"meshpol.io/state":"` + text + `"}}}`
		for _, name := range s.ours(leases) {
			_, err := s.lab.Client.Resource(leases).Namespace(trial.Namespace).Patch(s.ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			s.must(err)
		}
		s.says(s.plain(*s.lab, 0, "status", "-n", trial.Namespace), "UNREADABLE: the state of service shop/cart")
		for _, command := range [][]string{{"rollback", "cart-timeout", "-n", trial.Namespace}, {"rollout", "resume", "cart-timeout", "-n", trial.Namespace}} {
			s.says(s.plain(*s.lab, 2, command...), "there are: service shop/cart")
		}
		s.says(s.plain(*s.lab, 7, "plan", "-f", s.timeout("cart")), "in the hands of the rollout cart-timeout/")
		s.noErrors(s.records())
		s.deleteOurs(leases)
	})
}

// TestRecordDeleted: a live runner needs no record; without one and without a runner there is nothing to go back by, and
// that is said.
func TestRecordDeleted(t *testing.T) {
	s := newScene(t, 100, nil)
	r := s.begin(short("rollout", "-f", s.timeout("cart"))...)
	s.until(r, judged("10 %"))
	s.deleteOurs(revisions)
	s.ends(r, 0)
	s.says(r, "somebody has deleted the record of this rollout")
	s.noErrors(s.records())
	p := s.plain(*s.lab, 1, "rollback", "cart-timeout", "-n", trial.Namespace)
	s.says(p, "is gone")
}

// TestAPIServerGoesAway for 15 seconds, in a hold and in the middle of a barrier: the rollout waits and goes on.
func TestAPIServerGoesAway(t *testing.T) {
	each(t, map[string]moment{"in a hold": judged("10 %"), "in a barrier": wrote("10 %"), "in the fold": wrote("fold")}, func(t *testing.T, at moment) {
		s := newScene(t, 100, nil)
		r := s.begin(append(short("rollout", "-f", s.timeout("cart")), "--step-max", "40s", "--propagation-timeout", "60s")...)
		s.until(r, at)
		s.stop("apiserver")
		time.Sleep(15 * time.Second)
		s.start("apiserver")
		s.ends(r, 0)
		s.noErrors(s.records())
		s.phase("cart-timeout", "Succeeded")
	})
}

// TestStoppedRunnerIsTakenOver: a runner that stood still for longer than its lock holds writes nothing when it goes on.
func TestStoppedRunnerIsTakenOver(t *testing.T) {
	s := newScene(t, 100, nil)
	r := s.begin(append(short("rollout", "-f", s.timeout("cart")), "--step-min", "20s", "--step-max", "60s")...)
	s.until(r, judged("10 %"))
	s.must(r.Signal(syscall.SIGSTOP))
	back := s.meshpol(0, "rollback", "cart-timeout", "-n", trial.Namespace, "--take-over", "it stands still")
	s.untouched()
	s.must(r.Signal(syscall.SIGCONT))
	s.ends(r, 7)
	if n := len(r.Named("wrote")); n != 2 {
		t.Errorf("the stopped runner wrote %d times, want its two steps alone:\n%s", n, eventText(r))
	}
	s.says(back, "RolledBack")
	s.untouched()
	s.noErrors(s.records())
}

//go:build e2e

package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshpol/meshpol/lab/internal/trial"
)

func TestTwoRolloutsOfOneTarget(t *testing.T) {
	s := newScene(t, 100, nil)
	file := s.timeout("cart")
	first := s.begin(short("rollout", "-f", file)...)
	s.until(first, judged("10 %"))
	second := s.plain(*s.lab, 7, short("rollout", "--name", "other", "-f", file)...)
	for _, text := range []string{"service shop/cart is locked by ", "@", "meshpol rollout abort cart-timeout -n shop"} {
		s.says(second, text)
	}
	s.ends(first, 0)
	s.same(map[string]string{"VirtualService/cart": handwritten("{" + toCart + `,"timeout":"20s"}`)}, s.objects())
	s.noErrors(s.records())
}

// TestTwoRolloutsAtOnce starts both in the same moment, before either has left a mark.
func TestTwoRolloutsAtOnce(t *testing.T) {
	s := newScene(t, 100, nil)
	file := s.timeout("cart")
	one, two := s.begin(short("rollout", "--name", "one", "-f", file)...), s.begin(short("rollout", "--name", "two", "-f", file)...)
	exits := map[int]int{one.Wait().Exit: 1}
	exits[two.Wait().Exit]++
	if exits[0] != 1 || exits[7] != 1 {
		t.Errorf("exit codes %d and %d, want one 0 and one 7\n%s%s", one.Exit, two.Exit, one.Stderr, two.Stderr)
	}
	s.same(map[string]string{"VirtualService/cart": handwritten("{" + toCart + `,"timeout":"20s"}`)}, s.objects())
	s.noErrors(s.records())
}

// TestTwoTargetsInOneVirtualService: the second waits for the first, which does not notice it.
func TestTwoTargetsInOneVirtualService(t *testing.T) {
	user := map[string]any{"match": []any{map[string]any{"authority": map[string]any{"prefix": "user-service"}}}, "route": to("user-service")}
	s := newScene(t, 100, func(s *scene) {
		s.virtualService("both", []any{"cart", "user-service"}, user, map[string]any{"route": to("cart")})
	})
	cart, users := s.timeout("cart"), s.timeout("user-service")
	first := s.begin(short("rollout", "-f", cart)...)
	s.until(first, judged("step 0"))
	s.says(s.plain(*s.lab, 7, short("rollout", "-f", users)...), "VirtualService shop/both")
	s.until(first, judged("10 %"))
	s.says(s.plain(*s.lab, 7, short("rollout", "-f", users)...), "cart-timeout/")
	s.ends(first, 0)
	s.meshpol(0, short("rollout", "-f", users)...)
	want := strings.Replace(s.before["VirtualService/both"], `{"route":[{"destination":{"host":"cart.shop.svc.cluster.local"}}]}`,
		`{"route":[{"destination":{"host":"cart.shop.svc.cluster.local"}}],"timeout":"20s"}`, 1)
	want = strings.Replace(want, `"route":[{"destination":{"host":"user-service.shop.svc.cluster.local"}}]}`,
		`"route":[{"destination":{"host":"user-service.shop.svc.cluster.local"}}],"timeout":"20s"}`, 1)
	s.same(map[string]string{"VirtualService/both": want}, s.objects())
	s.noErrors(s.records())
}

// TestTwoCrossingRollouts: the pods of cart are servers in one rollout and clients in the other.
func TestTwoCrossingRollouts(t *testing.T) {
	s := newScene(t, 150, nil)
	args := func(service string) []string {
		return short("rollout", "--by", "instance", "--steps", "50", "-f", s.timeout(service))
	}
	cart, users := s.begin(args("cart")...), s.begin(args("user-service")...)
	seen := s.watchLabels(func() bool { return cart.Over() && users.Over() })
	s.ends(cart, 0)
	s.ends(users, 0)
	if len(seen["web"]) != 1 || len(seen["cart"]) != 1 || seen.share("web", "cart") || len(seen["user-service"]) != 0 {
		t.Errorf("cohort labels by app: %v, want one of its own for the callers of each target", seen)
	}
	s.noErrors(s.records())
	if pods, err := s.lab.CohortPods(s.ctx); err != nil || len(pods) > 0 {
		t.Errorf("pods still in a cohort: %v %v", pods, err)
	}
	want := handwritten("{" + toCart + `,"timeout":"20s"}`)
	s.same(map[string]string{
		"VirtualService/cart": want, "VirtualService/user-service": strings.NewReplacer("cart.shop", "user-service.shop", `"name":"cart"`, `"name":"user-service"`).Replace(want),
	}, s.objects())
}

// labels are the keys of the cohort labels that pods of an app bore at any time.
type labels map[string]map[string]bool

func (l labels) share(a, b string) bool {
	for key := range l[a] {
		if l[b][key] {
			return true
		}
	}
	return false
}

// watchLabels looks at the pods until over.
func (s *scene) watchLabels(over func() bool) labels {
	s.Helper()
	seen := labels{}
	for ; !over(); time.Sleep(200 * time.Millisecond) {
		list, err := s.lab.Client.Resource(trial.Pods).Namespace(trial.Namespace).List(s.ctx, metav1.ListOptions{})
		s.must(err)
		for _, p := range list.Items {
			for key := range p.GetLabels() {
				if strings.HasPrefix(key, "cohort.meshpol.io/") {
					app := strings.Replace(p.GetLabels()["app"], "mobile", "web", 1) // both call cart
					if seen[app] == nil {
						seen[app] = map[string]bool{}
					}
					seen[app][key] = true
				}
			}
		}
	}
	return seen
}

// TestManyReadersDisturbNobody: status and plan while a rollout runs.
func TestManyReadersDisturbNobody(t *testing.T) {
	s := newScene(t, 100, nil)
	file := s.timeout("cart")
	r := s.begin(short("rollout", "-f", file)...)
	s.until(r, judged("step 0"))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for !r.Over() {
				if _, err := s.lab.Plain(s.ctx, "status", "-n", trial.Namespace); err != nil {
					t.Error(err)
				}
			}
		})
	}
	s.ends(r, 0)
	readers.Wait()
	s.noErrors(s.records())
}

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/app"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
	"github.com/meshpol/meshpol/lab/internal/shop/loadgen"
	"github.com/meshpol/meshpol/lab/internal/trial"
)

// ofClients is istio_requests_total of the client pods for one service. Requests that the proxy answers itself have no
// destination namespace, and without a route the host that the client wrote stands for the service.
const ofClients = `sum by (%[1]s) (istio_requests_total{reporter="source",destination_service=~"%[2]s|%[2]s.shop.svc.cluster.local",pod=~"(web|mobile)-.*"})`

// counting is how long the last request may take to be seen in Prometheus: the log's flush and a scrape, and a little.
const counting = 2500 * time.Millisecond

// counts are the values of an expression by one label, or by several joined with spaces.
func (s *scene) counts(expression string, labels ...string) map[string]int {
	s.Helper()
	samples, err := s.lab.Query(s.ctx, expression)
	s.must(err)
	out := map[string]int{}
	for _, sample := range samples {
		key := sample.Labels[labels[0]]
		for _, l := range labels[1:] {
			key += " " + sample.Labels[l]
		}
		out[key] += int(sample.Value)
	}
	return out
}

// still are counts that stand still: what a test before has sent is told a second after, and scraped another one later.
func (s *scene) still(expression string, labels ...string) map[string]int {
	s.Helper()
	var last map[string]int
	err := trial.Eventually(s.ctx, 30*time.Second, func() (bool, error) {
		age, err := s.lab.Query(s.ctx, `time() - max(timestamp(istio_requests_total{pod=~"(web|mobile)-.*"}))`)
		if err != nil || len(age) > 0 && age[0].Value > 3 {
			return false, err // a Prometheus that was away tells what it knew then
		}
		was := s.counts(expression, labels...)
		time.Sleep(3 * time.Second)
		last = s.counts(expression, labels...)
		return maps.Equal(was, last), nil
	})
	s.must(err)
	return last
}

// counted runs a load for some seconds and returns what the clients saw, and what the counters of an expression by
// labels have grown by once their sum is that of the clients, or does not get there.
func (s *scene) counted(load loadgen.Spec, expression string, labels ...string) (referee.Log, map[string]int) {
	s.Helper()
	before := s.still(expression, labels...)
	running, err := s.lab.StartLoadOf(s.ctx, load)
	s.must(err)
	time.Sleep(time.Duration(load.Duration) + 300*time.Millisecond)
	running.Stop(s.ctx)
	log, err := running.Records(s.ctx)
	s.must(err)
	var grown map[string]int
	err = trial.Eventually(s.ctx, 6*time.Second, func() (bool, error) {
		grown = s.counts(expression, labels...)
		sum := 0
		for key := range grown {
			grown[key] -= before[key]
			sum += grown[key]
		}
		return sum >= len(log.Records), nil
	})
	if err != nil {
		s.Logf("the counters do not reach the %d requests of the clients: %v", len(log.Records), grown)
	}
	maps.DeleteFunc(grown, func(_ string, n int) bool { return n == 0 })
	return log, grown
}

func load(rps float64, d time.Duration) loadgen.Spec {
	return loadgen.Spec{RPS: rps, Duration: jsonhttp.Duration(d), Paths: []string{"/checkout", "/list"}}
}

func calls(rps float64, d time.Duration) loadgen.Spec {
	return loadgen.Spec{RPS: rps, Duration: jsonhttp.Duration(d), Target: "grpc://stock:9000"}
}

// istio writes an Istio object of the shop for one of its services.
func (s *scene) istio(r schema.GroupVersionResource, kind, service string, spec map[string]any) {
	s.Helper()
	s.must(s.lab.Apply(s.ctx, r, map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": kind,
		"metadata": map[string]any{"name": service, "namespace": trial.Namespace}, "spec": spec,
	}))
}

// routes are the http entries of a VirtualService; each gets the service as its destination.
func (s *scene) routes(service string, http ...map[string]any) {
	s.Helper()
	host := service + ".shop.svc.cluster.local"
	var list []any
	for _, h := range http {
		h["route"] = []any{map[string]any{"destination": map[string]any{"host": host}}}
		list = append(list, h)
	}
	s.istio(trial.VirtualServices, "VirtualService", service, map[string]any{"hosts": []any{host}, "http": list})
}

// policy is a DestinationRule.
func (s *scene) policy(service string, policy map[string]any) {
	s.Helper()
	s.istio(trial.DestinationRules, "DestinationRule", service, map[string]any{
		"host": service + ".shop.svc.cluster.local", "trafficPolicy": policy,
	})
}

func (s *scene) behaves(service string, rule app.Rule) {
	s.Helper()
	rule.Path = "/"
	s.must(s.lab.Behave(s.ctx, []string{service}, []app.Rule{rule}))
}

// sameCounts wants two counts of the same requests to be equal.
func (s *scene) sameCounts(what string, clients, prometheus map[string]int) {
	s.Helper()
	s.Logf("%s: clients %v, Prometheus %v", what, clients, prometheus)
	if len(clients) == 0 || !maps.Equal(clients, prometheus) {
		s.Errorf("%s: clients saw %v, Prometheus counted %v", what, clients, prometheus)
	}
}

// TestEveryRequestIsCounted: at 500 requests per second none is missing, on either side, and each is in its cohort.
func TestEveryRequestIsCounted(t *testing.T) {
	s := newScene(t, 0, func(s *scene) {
		s.routes("cart", map[string]any{
			"name":  "mp-new-test-0",
			"match": []any{map[string]any{"headers": map[string]any{"x-request-id": map[string]any{"regex": ".*[0-7]"}}}},
		}, map[string]any{})
	})
	received := func() int {
		n := 0
		for _, v := range s.counts(`sum by (pod) (istio_requests_total{reporter="destination",destination_service_name="cart",pod=~"cart-.*"})`, "pod") {
			n += v
		}
		return n
	}
	durations := func() map[string]int {
		return s.counts(`sum by (le) (istio_request_duration_milliseconds_bucket{reporter="source",destination_service_name="cart",pod=~"(web|mobile)-.*"})`, "le")
	}
	s.still(fmt.Sprintf(ofClients, "pod", "cart"), "pod")
	was, short := received(), durations()
	log, grown := s.counted(load(500, 6*time.Second), fmt.Sprintf(ofClients, "pod, meshpol_cohort", "cart"), "pod", "meshpol_cohort")
	s.noErrors(log)
	half := referee.Window{Width: referee.Cohorts / 2} // last digit 0 to 7
	want := map[string]int{}
	for _, r := range log.Records {
		side := "none"
		if half.Contains(r.Cohort) {
			side = "new"
		}
		want[log.Clients[r.Client]+" "+side]++
	}
	s.sameCounts("by client pod and cohort", want, grown)
	_ = trial.Eventually(s.ctx, 6*time.Second, func() (bool, error) { return received()-was >= len(log.Records), nil }) // their log comes by itself
	if n := received() - was; n != len(log.Records) {
		t.Errorf("the receivers counted %d requests, the clients sent %d", n, len(log.Records))
	}
	within, all := durations()["50.0"]-short["50.0"], durations()["+Inf"]-short["+Inf"]
	seen := len(referee.Select(log.Records, func(r referee.Record) bool { return r.FromStart() < 50*time.Millisecond }))
	t.Logf("within 50 ms: clients %d, Prometheus %d of %d", seen, within, all)
	if all != len(log.Records) || within < seen {
		t.Errorf("%d of %d durations are within 50 ms; clients saw %d of %d", within, all, seen, len(log.Records))
	}
}

// TestFlagsAndCodes: what the proxy refuses, cuts off or makes up is counted with the flag that says so.
func TestFlagsAndCodes(t *testing.T) {
	slowly := app.Rule{Delay: jsonhttp.Duration(60 * time.Millisecond)}
	for _, tc := range []struct {
		name    string
		prepare func(*scene)
		timeout time.Duration
		// want are code and flags of the requests that do not just succeed.
		want string
	}{
		{"timeout", func(s *scene) {
			s.behaves("cart", slowly)
			s.routes("cart", map[string]any{"timeout": "0.02s", "retries": map[string]any{"attempts": int64(0)}})
		}, 0, "504 UT"},
		{"fault", func(s *scene) {
			s.routes("cart", map[string]any{"fault": map[string]any{"abort": map[string]any{"httpStatus": int64(503), "percentage": map[string]any{"value": int64(30)}}}})
		}, 0, "503 FI"},
		{"no route", func(s *scene) {
			s.routes("cart", map[string]any{"match": []any{map[string]any{"uri": map[string]any{"exact": "/list"}}}})
		}, 0, "404 NR"},
		{"retries used up", func(s *scene) {
			s.behaves("cart", app.Rule{FailRatio: 1})
			s.routes("cart", map[string]any{"retries": map[string]any{"attempts": int64(1), "retryOn": "5xx"}})
		}, 0, "503 URX"},
		{"impatient clients", func(s *scene) { s.behaves("cart", slowly) }, 20 * time.Millisecond, "0 DC"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t, 0, tc.prepare)
			spec := load(150, time.Second)
			spec.Timeout = jsonhttp.Duration(tc.timeout)
			log, grown := s.counted(spec, fmt.Sprintf(ofClients, "response_code, response_flags", "cart"), "response_code", "response_flags")
			want := map[string]int{}
			for _, r := range log.Records {
				switch text, _, _ := strings.Cut(tc.want, " "); {
				case r.Outcome.String() == text, r.Outcome == referee.Timeout && text == "0":
					want[tc.want]++
				default:
					want[r.Outcome.String()+" -"]++
				}
			}
			s.sameCounts("by code and flags", want, grown)
			if grown[tc.want] == 0 {
				t.Errorf("no request was counted as %q", tc.want)
			}
		})
	}
}

// TestOverflows: Istio gives the pool of a DestinationRule to the clients and to the servers. What a client's proxy refuses
// has the flag there; what a server's refuses has it there, and none where the client's proxy counts it.
func TestOverflows(t *testing.T) {
	for service, tc := range map[string]struct {
		load loadgen.Spec
		pool map[string]any
		// bad is what the clients see of a refusal, as the labels say it.
		bad string
	}{
		"cart": {load(150, time.Second), map[string]any{
			"tcp": map[string]any{"maxConnections": int64(1)}, "http": map[string]any{"http1MaxPendingRequests": int64(1)},
		}, "503 "},
		"stock": {calls(150, time.Second), map[string]any{"http": map[string]any{"http2MaxRequests": int64(1)}}, "200 14"},
	} {
		t.Run(service, func(t *testing.T) {
			s := newScene(t, 0, func(s *scene) {
				s.behaves(service, app.Rule{Delay: jsonhttp.Duration(60 * time.Millisecond)})
				s.routes(service, map[string]any{"retries": map[string]any{"attempts": int64(0)}})
				s.policy(service, map[string]any{"connectionPool": tc.pool})
			})
			atServers := func() int {
				return s.counts(fmt.Sprintf(`sum by (response_flags) (istio_requests_total{reporter="destination",destination_service="%s.shop.svc.cluster.local",response_flags="UO"})`, service), "response_flags")["UO"]
			}
			before := atServers()
			labels := []string{"response_code", "grpc_response_status", "response_flags"}
			log, grown := s.counted(tc.load, fmt.Sprintf(ofClients, strings.Join(labels, ","), service), labels...)
			refused := len(referee.Select(log.Records, func(r referee.Record) bool { return !answered(r) }))
			clients, servers := grown[tc.bad+" UO"], 0
			_ = trial.Eventually(s.ctx, 10*time.Second, func() (bool, error) { // the servers' pods are scraped at other times
				servers = atServers() - before
				return clients+servers >= refused, nil
			})
			t.Logf("clients saw %d refusals of %d; flagged by their proxies %d, by the servers' %d: %v", refused, len(log.Records), clients, servers, grown)
			if clients == 0 || clients+servers != refused || grown[tc.bad+" -"] != servers {
				t.Errorf("%d refusals; %d and %d have the flag, %d were refused elsewhere", refused, clients, servers, grown[tc.bad+" -"])
			}
		})
	}
}

// TestEjections: when every instance is ejected the proxy refuses by itself, and says so.
func TestEjections(t *testing.T) {
	s := newScene(t, 0, func(s *scene) {
		s.behaves("cart", app.Rule{FailRatio: 1})
		s.routes("cart", map[string]any{"retries": map[string]any{"attempts": int64(0)}})
		s.policy("cart", map[string]any{"outlierDetection": map[string]any{
			"consecutive5xxErrors": int64(3), "interval": "0.5s", "baseEjectionTime": "3s", "maxEjectionPercent": int64(100),
		}})
	})
	// Two seconds: ejections come only with the interval, half a second, after three failures at every client.
	log, grown := s.counted(load(100, 2*time.Second), fmt.Sprintf(ofClients, "response_code, response_flags", "cart"), "response_code", "response_flags")
	refused := len(referee.Select(log.Records, func(r referee.Record) bool { return !answered(r) }))
	want := map[string]int{"503 UH": refused, "503 -": len(log.Records) - refused}
	maps.DeleteFunc(want, func(_ string, n int) bool { return n == 0 })
	s.sameCounts("by code and flags", want, grown)
	if refused == 0 {
		t.Error("no request was refused")
	}
	s.recovers()
}

// recovers clears the lab and waits until its clients see no error: an ejection outlives the policy that it came from.
func (s *scene) recovers() {
	s.Helper()
	s.must(s.lab.Clear(s.ctx))
	s.must(trial.Eventually(s.ctx, 30*time.Second, func() (bool, error) {
		running, err := s.lab.StartLoadOf(s.ctx, load(50, 300*time.Millisecond))
		if err != nil {
			return false, err
		}
		time.Sleep(400 * time.Millisecond)
		log, err := running.Records(s.ctx)
		tally := referee.Count(log.Records, referee.Bad)
		return tally.Total > 0 && tally.Bad == 0, err
	}))
	time.Sleep(counting)
}

// TestGRPCStatuses: a gRPC call is counted with its own status, whoever made it.
func TestGRPCStatuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(*scene)
		// want are status and flags of the calls that do not just succeed; none when all do.
		want string
	}{
		{"good", nil, ""},
		{"the service fails", func(s *scene) { s.behaves("stock", app.Rule{FailRatio: 0.3}) }, "14 -"},
		{"the service says internal", func(s *scene) { s.behaves("stock", app.Rule{FailRatio: 0.3, FailStatus: 13}) }, "13 -"},
		{"fault", func(s *scene) {
			s.routes("stock", map[string]any{"fault": map[string]any{"abort": map[string]any{"grpcStatus": "UNAVAILABLE", "percentage": map[string]any{"value": int64(30)}}}})
		}, "14 FI"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t, 0, tc.prepare)
			log, grown := s.counted(calls(150, time.Second), fmt.Sprintf(ofClients, "request_protocol, grpc_response_status, response_flags", "stock"),
				"request_protocol", "grpc_response_status", "response_flags")
			want := map[string]int{}
			for _, r := range log.Records {
				if r.Outcome == referee.GRPC(0) {
					want["grpc 0 -"]++
					continue
				}
				status, _, _ := strings.Cut(tc.want, " ")
				if r.Outcome.String() != "grpc-"+status {
					t.Fatalf("a client saw %s", r.Outcome)
				}
				want["grpc "+tc.want]++
			}
			s.sameCounts("by status and flags", want, grown)
			if tc.want != "" && grown["grpc "+tc.want] == 0 {
				t.Errorf("no call was counted as %q", tc.want)
			}
		})
	}
}

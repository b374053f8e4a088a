//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// middle stands between meshpol and the lab's Prometheus, and does to the answers what a test says.
type middle struct {
	scene   *scene
	address string
	server  *http.Server
	mood    atomic.Pointer[mood]
}

// mood is what becomes of a question. The zero mood passes it on.
type mood struct {
	// instead answers by itself.
	instead func(http.ResponseWriter, *http.Request)
	// lie changes the series of an answer about the rollout's routes.
	lie func([]*stream) []*stream
	// clock is how far everything that Prometheus says is ahead.
	clock time.Duration
}

// newMiddle listens on an address of its own, which stays the same when it dies and comes back.
func (s *scene) newMiddle() *middle {
	s.Helper()
	m := &middle{scene: s, address: "127.0.0.1:0"}
	m.mood.Store(&mood{})
	m.comesBack()
	s.Cleanup(m.dies)
	return m
}

func (m *middle) url() string { return "http://" + m.address }

// dies refuses every connection from now on and breaks those there are.
func (m *middle) dies() { _ = m.server.Close() }

func (m *middle) comesBack() {
	m.scene.Helper()
	listener, err := net.Listen("tcp", m.address)
	m.scene.must(err)
	m.address = listener.Addr().String()
	target, err := url.Parse(m.scene.lab.Prometheus)
	m.scene.must(err)
	forward := httputil.NewSingleHostReverseProxy(target)
	m.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mood := m.mood.Load()
		switch {
		case mood.instead != nil:
			mood.instead(w, r)
		case mood.lie != nil, mood.clock != 0:
			mood.twist(w, r, forward)
		default:
			forward.ServeHTTP(w, r)
		}
	}), ReadHeaderTimeout: time.Minute}
	go func() { _ = m.server.Serve(listener) }()
}

func (m *middle) is(mood mood) { m.mood.Store(&mood) }

// stream is a series of an answer.
type stream struct {
	Metric map[string]string `json:"metric"`
	Values [][2]any          `json:"values,omitempty"`
	Value  *[2]any           `json:"value,omitempty"`
}

// answer is a document of Prometheus' query API.
type answer struct {
	Status string `json:"status"`
	Data   struct {
		ResultType string    `json:"resultType"`
		Result     []*stream `json:"result"`
	} `json:"data"`
}

// twist passes a question on and changes the answer.
func (d mood) twist(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	r.Header.Del("Accept-Encoding")
	rec := httptest.NewRecorder()
	forward.ServeHTTP(rec, r)
	var a answer
	if json.Unmarshal(rec.Body.Bytes(), &a) != nil || a.Data.ResultType != "matrix" && a.Data.ResultType != "vector" {
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
		return
	}
	if d.lie != nil && a.Data.ResultType == "matrix" && ofRoutes(a.Data.Result) {
		a.Data.Result = d.lie(a.Data.Result)
	}
	for _, s := range a.Data.Result {
		for i := range s.Values {
			s.Values[i][0] = s.Values[i][0].(float64) + d.clock.Seconds()
		}
		// The answer to vector(time()) is a time itself; no other value of these tests is one.
		if s.Value != nil && len(s.Metric) == 0 && d.clock != 0 {
			s.Value[1] = strconv.FormatFloat(number((*s.Value)[1])+d.clock.Seconds(), 'f', -1, 64)
		}
	}
	if a.Data.Result == nil {
		a.Data.Result = []*stream{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

func ofRoutes(all []*stream) bool {
	return len(all) > 0 && strings.Contains(all[0].Metric["__name__"], "_route_mp_")
}

func number(v any) float64 {
	n, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
	return n
}

// values is a lie about every sample: its time and value to another value.
func values(change func(at, v float64) string) func([]*stream) []*stream {
	return func(all []*stream) []*stream {
		for _, s := range all {
			for i, v := range s.Values {
				s.Values[i][1] = change(v[0].(float64), number(v[1]))
			}
		}
		return all
	}
}

// samples keeps those of which keep holds, by their time.
func samples(keep func(at float64) bool) func([]*stream) []*stream {
	return func(all []*stream) []*stream {
		var out []*stream
		for _, s := range all {
			var left [][2]any
			for _, v := range s.Values {
				if keep(v[0].(float64)) {
					left = append(left, v)
				}
			}
			if s.Values = left; len(left) > 0 {
				out = append(out, s)
			}
		}
		return out
	}
}

// twice tells every series a second time, with the same labels and other values between.
func twice(all []*stream) []*stream {
	for _, s := range all {
		other := &stream{Metric: maps.Clone(s.Metric)}
		for _, v := range s.Values {
			other.Values = append(other.Values, [2]any{v[0].(float64) + 0.3, strconv.FormatFloat(number(v[1])/3, 'f', 0, 64)})
		}
		all = append(all, other)
	}
	return all
}

// unmentioned leaves the series of one side out.
func unmentioned(side string) func([]*stream) []*stream {
	return func(all []*stream) []*stream {
		var out []*stream
		for _, s := range all {
			if !strings.Contains(s.Metric["__name__"], "_"+side+"_") {
				out = append(out, s)
			}
		}
		return out
	}
}

// says answers everything with the same text.
func says(status int, kind, text string) mood {
	return mood{instead: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}}
}

package loadgen

import (
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/shop/header"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
	"github.com/meshpol/meshpol/lab/internal/shop/stock"
)

// The limits of a run.
const (
	// MaxRPS bounds the rate of one client pod, and of all pods of one `lab load`.
	MaxRPS = 2000
	// MaxDuration bounds a run.
	MaxDuration = 2 * time.Hour
	// MaxConcurrency bounds the requests of one client pod in flight.
	MaxConcurrency = 4096
	// MaxRecords bounds the memory of one client pod: 4 Mi records of 32 bytes.
	MaxRecords = 4 << 20

	maxPaths   = 256
	maxTimeout = 10 * time.Minute
)

// Who makes the x-request-id of a request.
const (
	// ClientIDs are UUIDs of version 4 made by the generator: the cohort of every request is known.
	ClientIDs = "client"
	// ProxyIDs are left to the proxy: the cohort is known of requests that a shop pod answered.
	ProxyIDs = "proxy"
	// Hex32IDs are 32 hex digits made by the generator.
	Hex32IDs = "hex32"
)

// Spec is one run. The zero value of an optional field stands for its default.
type Spec struct {
	// Target is an http URL, whose path comes before Paths, or grpc://HOST:PORT: the shop's gRPC service there is called,
	// on one connection. Default: the service that the pod calls.
	Target string `json:"target"`
	// RPS is the rate, more than 0 and at most MaxRPS. Required.
	RPS float64 `json:"rps"`
	// Duration of the run, at least 1ms and at most MaxDuration. Required.
	Duration jsonhttp.Duration `json:"duration"`
	// Concurrency is how many requests may be in flight; one that is due beyond it is dropped and counted. Default 512.
	Concurrency int `json:"concurrency"`
	// Paths are used in turn, at most 256. Default "/".
	Paths []string `json:"paths"`
	// Method is GET (the default), HEAD, DELETE, POST or PUT; the last two send a small body.
	Method string `json:"method"`
	// KeepAlive set to false uses a new connection for every request. Default true.
	KeepAlive *bool `json:"keepalive"`
	// RequestIDs is ClientIDs (the default), ProxyIDs or Hex32IDs.
	RequestIDs string `json:"requestIDs"`
	// Timeout is the client's own time limit of one request. Default 15s, at most 10m.
	Timeout jsonhttp.Duration `json:"timeout"`
	// Host replaces the Host header, as for a call to an ingress gateway by its address.
	Host string `json:"host,omitempty"`
	// Headers are sent with every request.
	Headers map[string]string `json:"headers,omitempty"`
	// MaxRecords is how many records are kept; then the oldest go. Default and limit: 4194304.
	MaxRecords int `json:"maxRecords"`
}

// ParseSpec reads JSON and fills in the defaults. An error names the field and what is allowed.
func ParseSpec(data []byte, defaultTarget string) (Spec, error) {
	var s Spec
	if err := jsonhttp.Object(data, "", &s); err != nil {
		return Spec{}, err
	}
	return s.complete(defaultTarget)
}

func (s Spec) complete(defaultTarget string) (Spec, error) {
	yes := true
	s.Target = either(s.Target, defaultTarget)
	s.Concurrency = either(s.Concurrency, 512)
	s.Method = either(s.Method, http.MethodGet)
	s.KeepAlive = either(s.KeepAlive, &yes)
	s.RequestIDs = either(s.RequestIDs, ClientIDs)
	s.Timeout = either(s.Timeout, jsonhttp.Duration(15*time.Second))
	s.MaxRecords = either(s.MaxRecords, MaxRecords)
	if len(s.Paths) == 0 {
		s.Paths = []string{"/"}
		if s.grpc() {
			s.Paths = []string{stock.CheckMethod}
		}
	}
	for _, check := range []func() error{s.checkTarget, s.checkGRPC, s.checkBounds, s.checkPaths, s.checkChoices, s.checkHeaders} {
		if err := check(); err != nil {
			return Spec{}, err
		}
	}
	return s, nil
}

func either[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (s Spec) checkTarget() error {
	u, err := url.Parse(s.Target)
	if s.grpc() {
		if err != nil || u.Port() == "" || u.Path != "" || u.RawQuery != "" {
			return jsonhttp.Refuse("target", s.Target, "for gRPC a host and a port, such as grpc://stock:9000")
		}
		return nil
	}
	if err != nil || u.Scheme != "http" || u.Host == "" || u.RawQuery != "" {
		return jsonhttp.Refuse("target", s.Target, "an http URL without a query, such as http://user-service")
	}
	return nil
}

// grpc tells whether the run calls the gRPC service.
func (s Spec) grpc() bool { return strings.HasPrefix(s.Target, "grpc://") }

// checkGRPC refuses what a gRPC call has no choice in.
func (s Spec) checkGRPC() error {
	switch {
	case !s.grpc():
		return nil
	case !slices.Equal(s.Paths, []string{stock.CheckMethod}):
		return jsonhttp.Refuse("paths", strings.Join(s.Paths, ","), "for gRPC nothing but "+stock.CheckMethod)
	case s.Method != http.MethodGet:
		return jsonhttp.Refuse("method", s.Method, "none for gRPC")
	case !*s.KeepAlive:
		return jsonhttp.Refuse("keepalive", false, "true for gRPC")
	}
	return nil
}

func (s Spec) checkBounds() error {
	if !(s.RPS > 0 && s.RPS <= MaxRPS) {
		return jsonhttp.Refuse("rps", s.RPS, fmt.Sprintf("more than 0, at most %d", MaxRPS))
	}
	if d := time.Duration(s.Duration); d < time.Millisecond || d > MaxDuration {
		return jsonhttp.Refuse("duration", d, "1ms to "+MaxDuration.String())
	}
	if s.Concurrency < 1 || s.Concurrency > MaxConcurrency {
		return jsonhttp.Refuse("concurrency", s.Concurrency, fmt.Sprintf("1 to %d", MaxConcurrency))
	}
	if d := time.Duration(s.Timeout); d < time.Millisecond || d > maxTimeout {
		return jsonhttp.Refuse("timeout", d, "1ms to "+maxTimeout.String())
	}
	if s.MaxRecords < 1 || s.MaxRecords > MaxRecords {
		return jsonhttp.Refuse("maxRecords", s.MaxRecords, fmt.Sprintf("1 to %d", MaxRecords))
	}
	return nil
}

func (s Spec) checkPaths() error {
	if len(s.Paths) > maxPaths {
		return jsonhttp.Refuse("paths", fmt.Sprintf("a list of %d", len(s.Paths)), fmt.Sprintf("at most %d", maxPaths))
	}
	for i, path := range s.Paths {
		if u, err := url.Parse(path); err != nil || !strings.HasPrefix(path, "/") || u.Host != "" || u.Fragment != "" {
			return jsonhttp.Refuse(fmt.Sprintf("paths[%d]", i), path, "a path that starts with one /, with a query if needed")
		}
	}
	return nil
}

func (s Spec) checkChoices() error {
	methods := []string{http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodPost, http.MethodPut}
	if !slices.Contains(methods, s.Method) {
		return jsonhttp.Refuse("method", s.Method, strings.Join(methods, ", "))
	}
	ids := []string{ClientIDs, ProxyIDs, Hex32IDs}
	if !slices.Contains(ids, s.RequestIDs) {
		return jsonhttp.Refuse("requestIDs", s.RequestIDs, strings.Join(ids, ", "))
	}
	return nil
}

func (s Spec) checkHeaders() error {
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		place := "headers." + name
		if strings.EqualFold(name, header.RequestID) {
			return jsonhttp.Refuse(place, s.Headers[name], "any other header; requestIDs decides about "+header.RequestID)
		}
		if !isToken(name) || strings.EqualFold(name, "host") || textproto.TrimString(s.Headers[name]) != s.Headers[name] ||
			strings.ContainsAny(s.Headers[name], "\r\n\x00") {
			return jsonhttp.Refuse(place, s.Headers[name], "a header other than Host and a value on one line")
		}
	}
	return nil
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c)
	})
}

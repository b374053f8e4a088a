package istiostats

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
)

// serve starts a proxy's counters and returns a stream to them as an Envoy opens it.
func serve(t *testing.T, p *Proxy) service.AccessLogService_StreamAccessLogsClient {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Serve(l) }()
	t.Cleanup(p.Close)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	stream, err := service.NewAccessLogServiceClient(conn).StreamAccessLogs(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func message(name string, entries ...*accesslog.HTTPAccessLogEntry) *service.StreamAccessLogsMessage {
	m := &service.StreamAccessLogsMessage{LogEntries: &service.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &service.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries},
	}}
	if name != "" {
		m.Identifier = &service.StreamAccessLogsMessage_Identifier{LogName: name}
	}
	return m
}

// page asks for the statistics until a text is among them.
func page(t *testing.T, p *Proxy, query, text string) string {
	t.Helper()
	envoy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "envoy_server_uptime{} 7 "+r.URL.Path+"?"+r.URL.RawQuery+"\n")
	}))
	t.Cleanup(envoy.Close)
	own, err := url.Parse(envoy.URL)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for range 200 {
		w := httptest.NewRecorder()
		p.Page(http.DefaultTransport, own).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/stats/prometheus"+query, nil))
		if got = w.Body.String(); strings.Contains(got, text) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return got
}

func TestEveryEntryOfAStreamIsCountedOnce(t *testing.T) {
	p := New(web(), "10.244.1.1", shop{})
	stream := serve(t, p)
	slow := entry(func(e *accesslog.HTTPAccessLogEntry) {
		e.CommonProperties.Duration = durationpb.New(700 * time.Millisecond)
	})
	goesOn := entry(func(e *accesslog.HTTPAccessLogEntry) {
		e.CommonProperties.AccessLogType = accesslog.AccessLogType_DownstreamPeriodic
	})
	for _, m := range []*service.StreamAccessLogsMessage{message("source", entry(), slow), message("", entry(), goesOn)} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	got := page(t, p, "", "_count{")
	if n := p.Counted(); n != 3 {
		t.Errorf("%d requests counted, want 3", n)
	}
	for _, line := range []string{
		"envoy_server_uptime{} 7 /stats/prometheus?",
		`istio_requests_total{connection_security_policy="unknown",destination_app="cart",`,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
	for line, want := range map[string]string{
		"istio_requests_total{": "} 3", `le="10"`: "} 0", `le="25"`: "} 2", `le="500"`: "} 2", `le="1000"`: "} 3",
		"milliseconds_sum{": "} 724", "milliseconds_count{": "} 3",
	} {
		if found := lineWith(got, line); !strings.HasSuffix(found, want) {
			t.Errorf("%q is %q, want %q", line, found, want)
		}
	}
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func TestAFilterHoldsForBothParts(t *testing.T) {
	p := New(web(), "10.244.1.1", shop{})
	p.count(Source, entry())
	p.count(Source, entry(func(e *accesslog.HTTPAccessLogEntry) { e.CommonProperties.RouteName = "mp-new-r9-0" }))
	for filter, want := range map[string]int{
		"istio_requests_total":                         2,
		"istiocustom.istio_requests_total.*cohort.new": 1,
		"route.mp-r9":                                  0,
	} {
		got := page(t, p, "?filter="+url.QueryEscape(filter), "envoy_server_uptime")
		if n := strings.Count(got, "\nistio_requests_total{"); n != want {
			t.Errorf("filter %q lets %d series through, want %d:\n%s", filter, n, want, got)
		}
		if !strings.Contains(got, "filter=") {
			t.Errorf("the proxy was not told of filter %q: %s", filter, got)
		}
	}
}

func TestWithoutTheProxyThereIsNoPage(t *testing.T) {
	p := New(web(), "10.244.1.1", shop{})
	w := httptest.NewRecorder()
	p.Page(http.DefaultTransport, &url.URL{Scheme: "http", Host: "127.0.0.1:1"}).
		ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/stats/prometheus", nil))
	if w.Code != http.StatusBadGateway {
		t.Errorf("status %d, want 502", w.Code)
	}
}

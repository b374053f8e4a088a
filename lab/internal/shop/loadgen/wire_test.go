package loadgen

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
)

// runAgainst makes a short run against a real server and returns its records.
func runAgainst(t *testing.T, target, more string) (*Generator, []referee.Record) {
	t.Helper()
	g := New("web-0", target)
	t.Cleanup(g.Close)
	start(t, g, `{"rps":200,"duration":"100ms"`+more+`}`)
	<-g.current().done
	return g, recordsOf(g)
}

// rawServer gives every connection to serve.
func rawServer(t *testing.T, serve func(n int64, conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for n := int64(1); ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(n, conn)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// readHead reads the head of one request.
func readHead(r *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

func TestClassesOfRealErrors(t *testing.T) {
	closed := rawServer(t, func(int64, net.Conn) {})
	reset := rawServer(t, func(_ int64, c net.Conn) {
		readHead(bufio.NewReader(c))
		c.(*net.TCPConn).SetLinger(0)
	})
	cut := rawServer(t, func(_ int64, c net.Conn) {
		readHead(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
	})
	rubbish := rawServer(t, func(_ int64, c net.Conn) {
		readHead(bufio.NewReader(c))
		io.WriteString(c, "SSH-2.0-OpenSSH\r\n\r\n")
	})
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	for target, want := range map[string][]referee.Outcome{
		closed:                             {referee.EOF, referee.Reset},
		reset:                              {referee.Reset},
		cut:                                {referee.EOF},
		rubbish:                            {referee.Other},
		"http://" + nobody.Addr().String(): {referee.Refused},
		"http://does-not-exist.invalid":    {referee.DNS},
	} {
		_, records := runAgainst(t, target, "")
		for _, r := range records {
			if r.Outcome != want[0] && r.Outcome != want[len(want)-1] {
				t.Errorf("%s: %s, want %s", target, r.Outcome, want)
				break
			}
		}
	}
}

func TestNoRequestIsSentTwiceOnceAByteOfItWentOut(t *testing.T) {
	var heads atomic.Int64
	// The first request of a connection is answered, the second is read and then dropped.
	target := rawServer(t, func(_ int64, c net.Conn) {
		r := bufio.NewReader(c)
		for n := 1; readHead(r) != ""; n++ {
			heads.Add(1)
			if n == 2 {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	g, records := runAgainst(t, target, `,"concurrency":1`)
	tally := referee.Count(records, referee.Bad)
	if int64(tally.Total) != heads.Load() {
		t.Errorf("%d requests were recorded, %d arrived", tally.Total, heads.Load())
	}
	if tally.Bad == 0 || tally.Stale != tally.Bad || tally.Resent != 0 {
		t.Errorf("%+v; %+v", tally, g.Progress())
	}
}

func TestATimeoutOnAKeptConnectionIsNotStale(t *testing.T) {
	target := rawServer(t, func(_ int64, c net.Conn) {
		r := bufio.NewReader(c)
		readHead(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		readHead(r)
		readHead(r)
	})
	_, records := runAgainst(t, target, `,"concurrency":1,"timeout":"30ms"`)
	tally := referee.Count(records, referee.Bad)
	if tally.Outcomes[referee.Timeout] == 0 || tally.Stale != 0 {
		t.Errorf("%+v", tally)
	}
}

func TestARequestOfWhichNoByteWentOutIsSentAgain(t *testing.T) {
	var conns atomic.Int64
	target := rawServer(t, func(_ int64, c net.Conn) {
		conns.Add(1)
		r := bufio.NewReader(c)
		for readHead(r) != "" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	spec, err := ParseSpec([]byte(`{"rps":1,"duration":"1s"}`), target)
	if err != nil {
		t.Fatal(err)
	}
	transport := newTransport(spec)
	defer transport.CloseIdleConnections()
	s, err := newSender(spec, breakOnWrite{transport})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []referee.Flags{0, referee.Resent} {
		if got := s.send(t.Context(), 0, time.Now()); got.record.Outcome != 200 || got.record.Flags != want {
			t.Errorf("request %d: %+v, %v", i, got.record, got.err)
		}
	}
	if conns.Load() != 2 {
		t.Errorf("%d connections, want 2", conns.Load())
	}
}

// breakOnWrite closes every kept connection at the moment it is taken for another request.
type breakOnWrite struct{ next http.RoundTripper }

func (b breakOnWrite) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused {
				info.Conn.Close()
			}
		},
	})))
}

func TestRequestsOnTheWire(t *testing.T) {
	for method, want := range map[string]string{
		"GET":    "GET /base/x?y=1 HTTP/1.1\r\nHost: users.example.org\r\nUser-Agent: Go-http-client/1.1\r\nA: b\r\nX-Request-Id: ID\r\n\r\n",
		"DELETE": "DELETE /base/x?y=1 HTTP/1.1\r\nHost: users.example.org\r\nUser-Agent: Go-http-client/1.1\r\nA: b\r\nX-Request-Id: ID\r\n\r\n",
		"POST": "POST /base/x?y=1 HTTP/1.1\r\nHost: users.example.org\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 2\r\nA: b\r\n" +
			"Content-Type: application/json\r\nX-Request-Id: ID\r\n\r\n",
	} {
		heads := make(chan string, 100)
		target := rawServer(t, func(_ int64, c net.Conn) {
			heads <- readHead(bufio.NewReader(c))
			io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		})
		more := fmt.Sprintf(`,"paths":["/x?y=1"],"method":%q,"host":"users.example.org","headers":{"a":"b"},"requestIDs":"hex32"`, method)
		_, records := runAgainst(t, target+"/base/", more)
		head := <-heads
		at := strings.Index(head, "X-Request-Id: ") + len("X-Request-Id: ")
		id := head[at : at+32]
		if got := strings.Replace(head, id, "ID", 1); got != want {
			t.Errorf("%s:\n got %q\nwant %q", method, got, want)
		}
		if records[0].Outcome != 204 {
			t.Errorf("%s: %s", method, records[0].Outcome)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	for more, reused := range map[string]bool{"": true, `,"keepalive":false`: false} {
		var conns atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		server.Start()
		_, records := runAgainst(t, server.URL, more)
		server.Close()
		if got := conns.Load() < int64(len(records)); got != reused {
			t.Errorf("%q: %d requests on %d connections", more, len(records), conns.Load())
		}
	}
}

func TestRecordsOverHTTP(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	g, records := runAgainst(t, server.URL, `,"maxRecords":7`)
	mux := http.NewServeMux()
	g.Routes(mux)
	control := httptest.NewServer(mux)
	defer control.Close()
	made := uint64(g.Progress().Records)
	resp, err := http.Get(control.URL + "/load/records?since=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	batch, err := referee.ReadBatch(resp.Body)
	if err != nil || len(batch.Records) != 7 || batch.Header.Lost != made-8 || batch.Header.Client != "web-0" ||
		batch.Records[6] != records[6] || batch.Records[0].Outcome != 404 {
		t.Errorf("%+v, %v", batch, err)
	}
	for query, want := range map[string]string{
		"since=-1":                      "since is \\\"-1\\\"",
		fmt.Sprintf("since=%d", made+1): fmt.Sprintf("at most %d", made),
	} {
		r := httptest.NewRecorder()
		mux.ServeHTTP(r, httptest.NewRequest("GET", "/load/records?"+query, nil))
		if r.Code != 400 || !strings.Contains(r.Body.String(), want) {
			t.Errorf("%s: %d %s", query, r.Code, r.Body)
		}
	}
}

func TestControlOverHTTP(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hang)
	g := New("web-0", server.URL)
	defer g.Close()
	mux := http.NewServeMux()
	g.Routes(mux)
	call := func(method, path, body string) (int, string) {
		r := httptest.NewRecorder()
		mux.ServeHTTP(r, httptest.NewRequest(method, path, strings.NewReader(body)))
		return r.Code, r.Body.String()
	}
	if code, body := call("GET", "/load", ""); code != 200 || !strings.Contains(body, `"state":"idle"`) {
		t.Errorf("GET before: %d %s", code, body)
	}
	if _, body := call("GET", "/load/records", ""); !strings.HasPrefix(body, `{"format":"shop-records/1","client":"web-0"`) {
		t.Errorf("records before: %s", body)
	} else if _, err := referee.ReadBatch(strings.NewReader(body)); err != nil {
		t.Errorf("records before: %v", err)
	}
	if code, body := call("POST", "/load", `{"rps":1}`); code != 400 || !strings.Contains(body, `"field":"duration"`) {
		t.Errorf("POST without duration: %d %s", code, body)
	}
	if code, body := call("POST", "/load", `{"rps":100,"duration":"1h"}`); code != 202 || !strings.Contains(body, `"state":"running"`) {
		t.Errorf("POST: %d %s", code, body)
	}
	if code, _ := call("POST", "/load", `{"rps":100,"duration":"1h"}`); code != 409 {
		t.Errorf("POST again: %d", code)
	}
	time.Sleep(20 * time.Millisecond)
	g.current().abort()
	code, body := call("DELETE", "/load", "")
	var p Progress
	if err := json.Unmarshal([]byte(body), &p); err != nil || code != 200 || p.State != Stopped || p.InFlight != 0 || p.Sent == 0 {
		t.Errorf("DELETE: %d %s, %v", code, body, err)
	}
}

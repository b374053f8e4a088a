package loadgen

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meshpol/meshpol/lab/internal/referee"
	"github.com/meshpol/meshpol/lab/internal/shop/header"
)

// maxTries bounds how often a request is sent again because its connection was gone before its first byte.
const maxTries = 3

// sender sends the requests of one run, one at a time, from any goroutine.
type sender struct {
	spec      Spec
	targets   []*url.URL
	transport http.RoundTripper
}

// newTransport speaks plain HTTP/1.1 and counts the bytes of every connection, to know whether a request went out.
func newTransport(s Spec) *http.Transport {
	dialer := &net.Dialer{}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countingConn{Conn: conn}, nil
		},
		MaxIdleConnsPerHost: s.Concurrency,
		DisableKeepAlives:   !*s.KeepAlive,
		DisableCompression:  true,
	}
}

func newSender(s Spec, transport http.RoundTripper) (*sender, error) {
	out := &sender{spec: s, transport: transport}
	for _, path := range s.Paths {
		target, err := url.Parse(strings.TrimSuffix(s.Target, "/") + path)
		if err != nil {
			return nil, fmt.Errorf("joining the target %s and the path %s: %w", s.Target, path, err)
		}
		out.targets = append(out.targets, target)
	}
	return out, nil
}

// seen is what the client saw of one request.
type seen struct {
	record referee.Record
	server referee.Server
	err    error
}

// send sends the request of a slot and waits for its end.
func (s *sender) send(ctx context.Context, slot int, due time.Time) seen {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.spec.Timeout))
	defer cancel()
	path := slot % len(s.targets)
	id := newID(s.spec.RequestIDs)
	out := seen{record: referee.Record{
		Due:    due.UnixMicro(),
		Path:   uint8(path),
		Cohort: referee.CohortOf(id),
		Server: referee.NoServer,
	}}
	start := time.Now()
	out.record.Lag = referee.Micros(start.Sub(due))
	resp, err := s.exchange(ctx, s.targets[path], id, &out.record)
	if err == nil {
		err = out.read(resp, id)
	}
	out.record.Latency = referee.Micros(time.Since(start))
	if err != nil {
		out.record.Outcome, out.err = classify(ctx, err), err
	}
	return out
}

// exchange sends a request until its first byte is on a connection, and returns the head of the answer.
func (s *sender) exchange(ctx context.Context, to *url.URL, id string, r *referee.Record) (*http.Response, error) {
	for try := 1; ; try++ {
		var use usage
		resp, err := s.transport.RoundTrip(s.request(use.watch(ctx), to, id))
		if err == nil {
			return resp, nil
		}
		switch {
		case ctx.Err() != nil || !use.stale():
			return nil, err
		case use.unsent() && try < maxTries:
			r.Flags |= referee.Resent
		default:
			r.Flags |= referee.Stale
			return nil, err
		}
	}
}

// request never lets net/http send it a second time by itself: that would hide errors. It does so only for requests
// whose body it can have again, and these have a body that it cannot.
func (s *sender) request(ctx context.Context, to *url.URL, id string) *http.Request {
	req := (&http.Request{
		Method: s.spec.Method, URL: to, Host: s.spec.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(new(bytes.Buffer)),
	}).WithContext(ctx)
	if s.spec.Method == http.MethodPost || s.spec.Method == http.MethodPut {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader("{}")), 2
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range s.spec.Headers {
		req.Header.Set(name, value)
	}
	if id != "" {
		req.Header.Set(header.RequestID, id)
	}
	return req
}

// read takes over what the answer says, and reads it to its end: an answer cut short is an error.
func (o *seen) read(resp *http.Response, id string) error {
	defer resp.Body.Close()
	r := &o.record
	if r.Outcome = referee.Outcome(resp.StatusCode); !r.Outcome.Known() {
		return fmt.Errorf("status %d is none of HTTP", resp.StatusCode)
	}
	o.note(resp.Header.Get, id)
	_, err := io.Copy(io.Discard, resp.Body)
	return err
}

// usage is what became of the connection of one try.
type usage struct {
	conn     *countingConn
	before   int64
	reused   bool
	answered atomic.Bool
}

func (u *usage) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if conn, ok := info.Conn.(*countingConn); ok {
				u.conn, u.before, u.reused = conn, conn.written.Load(), info.Reused
			}
		},
		GotFirstResponseByte: func() { u.answered.Store(true) },
	})
}

// unsent tells whether a kept connection was gone before one byte of the request was written.
func (u *usage) unsent() bool { return u.stale() && u.conn.written.Load() == u.before }

// stale tells whether a kept connection ended before the first byte of an answer.
func (u *usage) stale() bool { return u.reused && !u.answered.Load() }

// countingConn counts the bytes given to a connection.
type countingConn struct {
	net.Conn
	written atomic.Int64
}

// Write counts before it writes, so that nobody can see a byte on the wire uncounted, and takes back what failed.
func (c *countingConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n - len(p)))
	return n, err
}

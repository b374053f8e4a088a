// Package app is the shop's sample service. It answers any path with a small JSON document and with headers that tell
// the client what arrived; how well it behaves is told at runtime, per path.
package app

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/meshpol/meshpol/lab/internal/shop/header"
	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

// Config says who the app is and whom it calls.
type Config struct {
	// Pod and Version are told to every client.
	Pod     string
	Version string
	// Next is the URL of the service called for every request; empty for none.
	Next string
}

// App is one pod's service.
type App struct {
	config    Config
	next      *next
	behaviour behaviour
	counters  counters
	stopping  chan struct{}
	stopOnce  sync.Once
}

// New returns an app. It refuses a next service that is no http URL.
func New(c Config) (*App, error) {
	a := &App{config: c, stopping: make(chan struct{})}
	if c.Next == "" {
		return a, nil
	}
	n, err := newNext(c.Next)
	a.next = n
	return a, err
}

// Stop lets go of the requests that hang and makes the app not ready. Others may still end.
func (a *App) Stop() {
	a.stopOnce.Do(func() { close(a.stopping) })
}

// Close frees the connections to the next service.
func (a *App) Close() {
	a.Stop()
	if a.next != nil {
		a.next.close()
	}
}

// ServeHTTP treats one request as the rule of its path says.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.echo(w.Header(), r)
	// Without this the server cannot notice that the client has gone. How much a client sends is its own matter.
	_, _ = io.Copy(io.Discard, r.Body)
	attempt, _ := strconv.Atoi(r.Header.Get(header.AttemptCount))
	rule := a.behaviour.match(r.URL.Path)
	act := rule.decide(rand.Float64(), max(attempt, 1))
	if !rule.enter() {
		act = actRefuse
	}
	defer rule.leave()
	a.counters.add(r.URL.Path, attempt, act)
	w.Header().Set(header.Action, string(act))
	a.perform(w, r, rule.Rule, act)
}

// echo tells the client what arrived and where.
func (a *App) echo(h http.Header, r *http.Request) {
	h.Set(header.Pod, a.config.Pod)
	h.Set(header.Version, a.config.Version)
	for to, value := range map[string]string{
		header.SeenRequestID:       r.Header.Get(header.RequestID),
		header.SeenExpectedTimeout: cmp.Or(r.Header.Get(header.ExpectedTimeout), r.Header.Get(header.ToldTimeout)),
		header.SeenAttempt:         r.Header.Get(header.AttemptCount),
	} {
		if value != "" {
			h.Set(to, value)
		}
	}
}

func (a *App) perform(w http.ResponseWriter, r *http.Request, rule Rule, act action) {
	if act == actRefuse {
		a.answer(w, r, http.StatusServiceUnavailable, "too many requests at once", nil)
		return
	}
	if !sleep(r.Context(), rule.wait(act, rand.Float64())) {
		// The client has gone. Nothing that looks like an answer may be written.
		panic(http.ErrAbortHandler)
	}
	switch act {
	case actHang:
		a.hang(r.Context())
	case actReset:
		reset(w)
	case actFail:
		a.answer(w, r, rule.failCode(), "failing as told", nil)
	default:
		a.succeed(w, r)
	}
}

// hang waits until the client gives up or the app stops, then drops the connection.
func (a *App) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-a.stopping:
	}
	panic(http.ErrAbortHandler)
}

// reset closes the connection so that the peer sees it reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Without lingering, closing sends a reset instead of an orderly end.
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// succeed calls the next service, if there is one, and answers with its failure or with 200.
func (a *App) succeed(w http.ResponseWriter, r *http.Request) {
	if a.next == nil {
		a.answer(w, r, http.StatusOK, "", nil)
		return
	}
	status, body, err := a.next.call(r.Context(), r)
	switch {
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler)
	case err != nil:
		a.answer(w, r, http.StatusBadGateway, err.Error(), nil)
	case status >= 400:
		a.answer(w, r, status, "the next service answered "+strconv.Itoa(status), body)
	default:
		a.answer(w, r, http.StatusOK, "", body)
	}
}

// Answer is the body of every answer.
type Answer struct {
	Pod     string `json:"pod"`
	Version string `json:"version"`
	Path    string `json:"path"`
	Status  int    `json:"status"`
	Error   string `json:"error,omitempty"`
	// Next is what the next service answered.
	Next json.RawMessage `json:"next,omitempty"`
}

func (a *App) answer(w http.ResponseWriter, r *http.Request, status int, problem string, next json.RawMessage) {
	jsonhttp.Write(w, status, Answer{
		Pod: a.config.Pod, Version: a.config.Version, Path: r.URL.Path, Status: status, Error: problem, Next: next,
	})
}

// sleep tells whether the whole time passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

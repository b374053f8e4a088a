package app

import (
	"errors"
	"net/http"

	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

// Routes adds the app's part of the control port:
//
//	GET    /ready      200, or 503 while the app stops
//	GET    /behaviour  the rules in force
//	PUT    /behaviour  replaces the rules by a JSON array of [Rule]
//	DELETE /behaviour  removes the rules
//	GET    /counters   the requests so far, a JSON array of [Count]
//	DELETE /counters   starts counting from 0
func (a *App) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /ready", a.ready)
	mux.HandleFunc("GET /behaviour", a.getBehaviour)
	mux.HandleFunc("PUT /behaviour", a.putBehaviour)
	mux.HandleFunc("DELETE /behaviour", a.deleteBehaviour)
	mux.HandleFunc("GET /counters", a.getCounters)
	mux.HandleFunc("DELETE /counters", a.deleteCounters)
}

func (a *App) ready(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-a.stopping:
		jsonhttp.Fail(w, http.StatusServiceUnavailable, errors.New("the app is stopping"))
	default:
		jsonhttp.Write(w, http.StatusOK, map[string]string{"pod": a.config.Pod, "version": a.config.Version})
	}
}

func (a *App) getBehaviour(w http.ResponseWriter, _ *http.Request) {
	jsonhttp.Write(w, http.StatusOK, a.behaviour.list())
}

func (a *App) putBehaviour(w http.ResponseWriter, r *http.Request) {
	data, err := jsonhttp.Body(r)
	if err != nil {
		jsonhttp.Fail(w, http.StatusInternalServerError, err)
		return
	}
	rules, err := ParseRules(data)
	if err != nil {
		jsonhttp.Fail(w, http.StatusInternalServerError, err)
		return
	}
	a.behaviour.set(rules)
	jsonhttp.Write(w, http.StatusOK, a.behaviour.list())
}

func (a *App) deleteBehaviour(w http.ResponseWriter, _ *http.Request) {
	a.behaviour.set(nil)
	jsonhttp.Write(w, http.StatusOK, a.behaviour.list())
}

func (a *App) getCounters(w http.ResponseWriter, _ *http.Request) {
	jsonhttp.Write(w, http.StatusOK, a.counters.list())
}

func (a *App) deleteCounters(w http.ResponseWriter, _ *http.Request) {
	a.counters.clear()
	jsonhttp.Write(w, http.StatusOK, a.counters.list())
}

package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestProxyStats(t *testing.T) {
	s, c := serve(t)
	s.Forward("shop", "web-1", statsPort, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("filter") == "gone" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"web-1\" not found","code":404}`)
			return
		}
		if r.URL.Query().Get("filter") == "bad" {
			http.Error(w, "Invalid regex", http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s %s", r.URL.Path, r.URL.Query().Get("filter"))
	}))
	body, err := c.ProxyStats(t.Context(), "shop/web-1", "route.mp-.*|a b")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, _ := io.ReadAll(body); string(text) != "/stats/prometheus route.mp-.*|a b" {
		t.Errorf("%s", text)
	}
	if _, err := c.ProxyStats(t.Context(), "shop/web-1", "bad"); err == nil || !strings.Contains(err.Error(), "pod shop/web-1: 400 Bad Request: Invalid regex") {
		t.Error(err)
	}
	if _, err := c.ProxyStats(t.Context(), "shop/web-1", "gone"); err == nil || !strings.HasSuffix(err.Error(), `404 Not Found: pods "web-1" not found`) {
		t.Error(err)
	}
	s.Deny("get", "", "pods/proxy", "shop")
	_, err = c.ProxyStats(t.Context(), "shop/web-1", "x")
	var rights *RightsError
	if !errors.As(err, &rights) || rights.Right() != "the right to get pods/proxy in namespace shop" {
		t.Error(err)
	}
	if got := StatsAccess([]string{"shop", "web"}); len(got) != 2 || got[1].String() != "get pods/proxy in namespace web" {
		t.Error(got)
	}
}

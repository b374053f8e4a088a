package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/meshpol/meshpol/lab/internal/shop/header"
)

// nextTimeout bounds a call to the next service; it is longer than any timeout that a mesh policy would set.
const nextTimeout = 2 * time.Minute

// next is the service that the app calls for each request.
type next struct {
	base   *url.URL
	client *http.Client
}

func newNext(raw string) (*next, error) {
	base, err := url.Parse(raw)
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return nil, fmt.Errorf("reading the next service %q: allowed: a URL such as http://cart", raw)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute}
	client := &http.Client{Transport: transport, CheckRedirect: keepRedirects, Timeout: nextTimeout}
	return &next{base: base, client: client}, nil
}

func keepRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (n *next) close() { n.client.CloseIdleConnections() }

// call sends the request on, with its id and its trace, and returns the status and the answer if that is JSON.
func (n *next) call(ctx context.Context, r *http.Request) (int, json.RawMessage, error) {
	target := *n.base
	target.Path = strings.TrimSuffix(n.base.Path, "/") + r.URL.Path
	target.RawQuery = r.URL.RawQuery
	req, err := http.NewRequestWithContext(ctx, r.Method, target.String(), nil)
	if err != nil {
		return 0, nil, fmt.Errorf("calling %s: %w", target.String(), err)
	}
	for _, name := range header.Traced() {
		if values := r.Header.Values(name); len(values) > 0 {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("calling the next service: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer of %s: %w", target.String(), err)
	}
	if !json.Valid(body) {
		return resp.StatusCode, nil, nil
	}
	return resp.StatusCode, body, nil
}

package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/meshpol/meshpol/pkg/mesh/istio/xds"
)

const (
	adminPort = "15000"
	statsPort = "15090"
	// answerTimeout bounds one question to istiod or Envoy: a stopped process keeps a connection open for ever.
	answerTimeout = 5 * time.Second
	// drain is how much of an answer is read for nothing, to keep its connection.
	drain = 256 << 10
)

// origin says who answered: session is the port-forward, which ends with the pod, connection ends with the process too.
type origin struct{ session, connection string }

// ask sends one GET through a port-forward and hands the answer to read.
func (f *forwarder) ask(ctx context.Context, namespace, pod, port, path string, read func(io.Reader) error) (origin, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	t, err := f.open(ctx, namespace, pod)
	if err != nil {
		return origin{}, err
	}
	var conn int64
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*streamConn); ok {
			conn = c.number
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:"+port+path, nil)
	if err != nil {
		return origin{}, fmt.Errorf("asking pod %s/%s: %w", namespace, pod, err)
	}
	resp, err := t.http.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			f.drop(t)
		}
		return origin{}, fmt.Errorf("asking pod %s/%s on port %s: %w", namespace, pod, port, bare(err))
	}
	defer resp.Body.Close()
	from := origin{session: t.session, connection: t.session + "." + strconv.FormatInt(conn, 10)}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return from, &answerError{status: resp.StatusCode, text: strings.TrimSpace(string(text)), where: namespace + "/" + pod + ":" + port + path}
	}
	if err := read(resp.Body); err != nil {
		return from, err
	}
	// A connection whose answer was not read to its end is not used again, and another one could be another process's.
	_, err = io.CopyN(io.Discard, resp.Body, drain)
	if err != nil && err != io.EOF {
		return from, fmt.Errorf("asking pod %s/%s on port %s: %w", namespace, pod, port, err)
	}
	return from, nil
}

// answerError is an answer other than 200.
type answerError struct {
	status      int
	text, where string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("asking %s: %d %s: %s", e.where, e.status, http.StatusText(e.status), e.text)
}

// syncz asks an istiod for the synchronisation status of its proxies, and names the process that answered.
func (f *forwarder) syncz(ctx context.Context, i istiod) (list []xds.Status, process string, err error) {
	from, err := f.ask(ctx, i.namespace, i.name, debugPort, "/debug/syncz", func(r io.Reader) (err error) {
		list, err = xds.ParseSyncz(r)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return list, from.connection, nil
}

// content asks an Envoy for a scope of its configuration and tells which texts are in it.
func (f *forwarder) content(ctx context.Context, namespace, pod string, scope xds.Scope, texts []string) (found []bool, session string, err error) {
	from, err := f.ask(ctx, namespace, pod, adminPort, dumpPath(scope, texts), func(r io.Reader) (err error) {
		found, err = xds.Scan(r, texts)
		return err
	})
	if absent(err) {
		found, err = xds.Scan(strings.NewReader(""), texts)
	}
	if err != nil {
		return nil, "", err
	}
	return found, from.session, nil
}

// absent tells that an Envoy has nothing of a scope at all, which it answers as an error.
func absent(err error) bool {
	answer, ok := err.(*answerError)
	return ok && strings.Contains(answer.text, "not found in config dump")
}

// dumpPath asks for no more than is needed: clusters by their names, which hold the host. Route configurations are
// named after ports, so all of them are read.
func dumpPath(scope xds.Scope, texts []string) string {
	q := url.Values{}
	switch scope {
	case xds.Clusters:
		q.Set("resource", "dynamic_active_clusters")
		if host := texts[len(texts)-1]; host != "" {
			var words []string
			for _, t := range texts {
				words = append(words, regexp.QuoteMeta(t))
			}
			q.Set("name_regex", ".*("+strings.Join(words, "|")+").*")
		}
	case xds.Listeners:
		q.Set("resource", "dynamic_listeners")
	default:
		q.Set("resource", "dynamic_route_configs")
	}
	return "/config_dump?" + q.Encode()
}

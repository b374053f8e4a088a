package kube

import (
	"context"
	"errors"
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
	// answerTimeout bounds one question to Envoy: a stopped process keeps a connection open for ever. An istiod may be
	// busy with the very push that is asked about.
	answerTimeout = 5 * time.Second
	istiodTimeout = 15 * time.Second
	// drain is how much of an answer is read for nothing, to keep its connection.
	drain = 256 << 10
	// maxScope bounds the scope of a proxy that is read for its version.
	maxScope = 64 << 20
)

// origin says who answered: session is the port-forward, which ends with the pod, connection ends with the process too.
type origin struct{ session, connection string }

// ask sends one GET through a port-forward and hands the answer to read.
func (f *forwarder) ask(ctx context.Context, namespace, pod, port, path string, read func(io.Reader) error) (origin, error) {
	limit := answerTimeout
	if port == debugPort {
		limit = istiodTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
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
	if err != nil && !errors.Is(err, io.EOF) {
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

// syncz asks an istiod for the synchronisation status of its proxies.
func (f *forwarder) syncz(ctx context.Context, i istiod) (list []xds.Status, err error) {
	_, err = f.ask(ctx, i.namespace, i.name, debugPort, "/debug/syncz", func(r io.Reader) (err error) {
		list, err = xds.ParseSyncz(r)
		return err
	})
	return list, err
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
	var answer *answerError
	return errors.As(err, &answer) && strings.Contains(answer.text, "not found in config dump")
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

// scopeVersion is the version of a proxy's scope in what istiod answers to /debug/sidecarz: the last of its fields.
var scopeVersion = regexp.MustCompile(`"version": ?"(\d{4}-[^"]+/\d+)"`)

// vouch asks an istiod what it would send a proxy, and then from which push context at the latest: istiod renews a
// proxy's scope, which bears the version, before it takes the context into use for that proxy.
func (f *forwarder) vouch(ctx context.Context, i istiod, proxy string, scope xds.Scope, texts []string) (xds.Reading, error) {
	namespace, pod, _ := strings.Cut(proxy, "/")
	id := url.QueryEscape(pod + "." + namespace + "-")
	kind := map[xds.Scope]string{xds.Clusters: "CDS", xds.Listeners: "LDS"}[scope]
	r := xds.Reading{Proxy: proxy, Scope: scope, Plane: i.id(), Began: time.Now()}
	path := "/debug/config_dump?types=" + orElse(kind, "RDS") + "&proxyID=" + id
	from, err := f.ask(ctx, i.namespace, i.name, debugPort, path, func(body io.Reader) error {
		found, err := xds.Scan(body, texts)
		if err == nil {
			r.Found, r.Host = found[:len(found)-1], found[len(found)-1]
		}
		return err
	})
	if err != nil {
		return r, err
	}
	r.Session = from.connection
	_, err = f.ask(ctx, i.namespace, i.name, debugPort, "/debug/sidecarz?proxyID="+id, func(body io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(body, maxScope))
		if all := scopeVersion.FindAllSubmatch(text, -1); err == nil && len(all) > 0 {
			r.Version = xds.ParseVersion(string(all[len(all)-1][1]))
		}
		return err
	})
	return r, err
}

// Package prometheus reads raw counter samples from anything that speaks Prometheus' HTTP API.
//
// One question is an instant query with a range selector, selector[window]: it returns the stored samples with their
// own scrape times, without rate's extrapolation. Series are returned under their own labels: see the table at ownLabel
// for what is kept, and podLabels for how the pod is found.
package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/meshpol/meshpol/pkg/metrics"
)

var (
	_ metrics.Provider = (*Provider)(nil)
	_ metrics.Asker    = (*Provider)(nil)
)

// Provider answers metrics.Query from one Prometheus. It is safe for use by several goroutines.
type Provider struct {
	api      promv1.API
	address  string
	options  Options
	sampling sampling
}

// New checks the options and opens no connection yet.
func New(o Options) (*Provider, error) {
	o = o.withDefaults()
	u, err := o.parse()
	if err != nil {
		return nil, err
	}
	transport, err := o.transport(u.User)
	if err != nil {
		return nil, err
	}
	u.User = nil
	client, err := api.NewClient(api.Config{Address: u.String(), Client: &http.Client{Transport: transport, CheckRedirect: noRedirects}})
	if err != nil {
		return nil, fmt.Errorf("opening Prometheus: %w", err)
	}
	u.RawQuery, u.Fragment = "", ""
	return &Provider{api: promv1.NewAPI(client), address: u.String(), options: o}, nil
}

// Address is where questions go, without credentials: for verdicts, which name their source.
func (p *Provider) Address() string { return p.address }

// Ping asks the smallest question there is.
func (p *Provider) Ping(ctx context.Context) error {
	_, err := p.query(ctx, "vector(1)", time.Time{})
	return err
}

// Read implements metrics.Provider: every series of the query with its samples of (now-window, now]. No series is an
// empty answer and no error: whether that is bad is the judge's question.
func (p *Provider) Read(ctx context.Context, q metrics.Query, now time.Time, window time.Duration) ([]metrics.Series, error) {
	if window < time.Second {
		return nil, fmt.Errorf("reading Prometheus: the window %s is shorter than a second", window)
	}
	matrix, err := p.bounded(ctx, q, now, window)
	if err != nil {
		return nil, err
	}
	return decode(matrix), nil
}

// Ask implements metrics.Asker: the value of a query that gives a scalar or exactly one series.
func (p *Provider) Ask(ctx context.Context, query string, now time.Time) (float64, error) {
	value, err := p.query(ctx, query, now)
	if err != nil {
		return 0, err
	}
	switch v := value.(type) {
	case *model.Scalar:
		return float64(v.Value), nil
	case model.Vector:
		switch len(v) {
		case 0:
			return 0, &Error{Kind: NoSeries, Address: p.address, Query: query}
		case 1:
			return float64(v[0].Value), nil
		}
		return 0, &Error{Kind: ManySeries, Address: p.address, Query: query, Err: fmt.Errorf("%d series", len(v))}
	case model.Matrix, *model.String:
		return 0, &Error{Kind: ManySeries, Address: p.address, Query: query, Err: fmt.Errorf("a %s", value.Type())}
	}
	return 0, p.unexpected(query, value, "one number")
}

// RangeQuery is the question that Read asks; verdicts print it.
func RangeQuery(selector string, window time.Duration) string {
	rounded := window.Truncate(time.Millisecond)
	return selector + "[" + model.Duration(rounded).String() + "]"
}

func (p *Provider) matrix(ctx context.Context, query string, at time.Time) (model.Matrix, error) {
	value, err := p.query(ctx, query, at)
	if err != nil {
		return nil, err
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, p.unexpected(query, value, "a matrix")
	}
	return matrix, nil
}

func (p *Provider) vector(ctx context.Context, query string, at time.Time) (model.Vector, error) {
	value, err := p.query(ctx, query, at)
	if err != nil {
		return nil, err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, p.unexpected(query, value, "a vector")
	}
	return vector, nil
}

func (p *Provider) unexpected(query string, got model.Value, want string) error {
	kind := "nothing"
	if got != nil {
		kind = got.Type().String()
	}
	return &Error{Kind: BadAnswer, Address: p.address, Query: query, Err: fmt.Errorf("it answered with %s instead of %s", kind, want)}
}

// query asks, bounded in time, and passes warnings on.
func (p *Provider) query(ctx context.Context, query string, at time.Time) (model.Value, error) {
	limited, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	value, warnings, _, err := p.api.Query(limited, query, at)
	for _, w := range warnings {
		p.options.OnWarning(w)
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err() // our caller gave up: that says nothing of Prometheus
	case err != nil:
		return nil, classify(err, p.address, query)
	}
	return value, nil
}

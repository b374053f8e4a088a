package printer_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/meshpol/meshpol/internal/golden"
	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/metrics"
	"github.com/meshpol/meshpol/pkg/rollout"
)

const live = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
  namespace: shop
  uid: 5a1c
  generation: 4
  resourceVersion: "4711"
  creationTimestamp: "2026-11-01T00:00:00Z"
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
  managedFields: [{manager: kubectl}]
spec:
  hosts: [cart]
  http:
  - name: all
    route: [{destination: {host: cart}}]
    timeout: 5s
status: {observedGeneration: 4}
`

const split = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop, resourceVersion: "4712"}
spec:
  hosts: [cart]
  http:
  - match: [{headers: {x-request-id: {regex: ".*(1|2a|größe)"}}, statPrefix: mp-1a2b-new}]
    name: mp-new-1a2b-0
    route: [{destination: {host: cart}}]
    timeout: 250ms
  - match: [{statPrefix: mp-1a2b-old}]
    name: all
    route: [{destination: {host: cart}}]
    timeout: 5s
`

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

func diff(t *testing.T, before, after string) printer.ObjectDiff {
	t.Helper()
	d := printer.ObjectDiff{Ref: route()}
	if before != "" {
		d.Before = object(t, before)
	}
	if after != "" {
		d.After = object(t, after)
	}
	return d
}

func plan(t *testing.T) printer.PlanView {
	t.Helper()
	wide := strings.ReplaceAll(split, "1|2a|größe", "1|2|3|4")
	folded := strings.ReplaceAll(live, "timeout: 5s", "timeout: 250ms")
	service := printer.ObjectDiff{
		Ref:   rollout.Ref{APIVersion: "networking.istio.io/v1", Kind: "DestinationRule", Namespace: "shop", Name: "cart"},
		After: object(t, "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: cart, namespace: shop}\nspec: {host: cart}\n"),
	}
	return printer.PlanView{
		Name: "cart-timeout", Target: cart(), Strategy: "canary", Digest: "sha256:3f2a9c0d1e5b7788aa",
		Notes:  []string{"share 1 % is 41 of 4,096 windows"},
		AtFold: []string{"ingress gateway shop/public"},
		Forecast: &printer.ForecastView{Limit: 10, Forecast: metrics.Forecast{
			Traffic: metrics.Traffic{RPS: 203.4, ErrorRate: 0.00021, Phi: 2.6}, Seconds: 21600, Expected: 13 * time.Minute, Longest: 65 * time.Minute,
			Bound: 20, Proof: 20 * time.Minute, ProofMax: 20 * time.Minute, Share: 0.5,
			Harms: []metrics.HarmForecast{{Ratio: 2, Requests: 61.4}, {Ratio: 4761, All: true, Requests: 4012}},
		}},
		Steps: []printer.StepView{
			{Name: "step 0", Exposure: "staged, identical halves", Hold: "2 min to 5 min, 200 requests per half", Objects: []printer.ObjectDiff{service, diff(t, live, split)}},
			{Name: "1 %", Exposure: "1 % of requests", Asked: "asked 1 %: 1.001 %", Hold: "1 min to 10 min", Objects: []printer.ObjectDiff{diff(t, live, split)}},
			{Name: "bake", Exposure: "95 % of requests", Hold: "5 min", Objects: []printer.ObjectDiff{diff(t, split, wide)}},
			{Name: "pause", Hold: "until somebody promotes"},
			{Name: "fold", Exposure: "all traffic", Objects: []printer.ObjectDiff{diff(t, wide, folded), {Ref: service.Ref, Before: service.After}, diff(t, live, live)}},
		},
	}
}

func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		format printer.Format
		colour bool
	}{"text": {}, "colour": {colour: true}, "yaml": {format: printer.YAML}, "json": {format: printer.JSON}} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			unchanged, quiet := printer.PlanView{Name: "users-retry", Target: cart()}, plan(t)
			quiet.Steps, quiet.Notes, quiet.AtFold = quiet.Steps[3:4], nil, nil
			quiet.Forecast = &printer.ForecastView{Unknown: "no metrics source"}
			if err := printer.New(&out, c.format, printer.Options{Colour: c.colour}).Plans([]printer.PlanView{plan(t), unchanged, quiet}); err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, "plan/"+name+".golden", out.Bytes())
		})
	}
}

func TestADiffLeavesTheArgumentsAlone(t *testing.T) {
	v := plan(t)
	var out bytes.Buffer
	if err := printer.New(&out, printer.YAML, printer.Options{}).Plans([]printer.PlanView{v}); err != nil {
		t.Fatal(err)
	}
	if got := v.Steps[0].Objects[1].Before.GetResourceVersion(); got != "4711" {
		t.Errorf("the object given lost its resourceVersion: %q", got)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }

func TestABrokenPipeIsAnErrorOfTheAnswer(t *testing.T) {
	for _, f := range []printer.Format{printer.Text, printer.JSON} {
		if err := printer.New(brokenPipe{}, f, printer.Options{}).Plans([]printer.PlanView{plan(t)}); err == nil {
			t.Errorf("format %q: no error", f)
		}
	}
}

func TestABrokenPipeStopsNoRollout(*testing.T) {
	for _, f := range []printer.Format{printer.Text, printer.JSONLines} {
		sink := printer.New(brokenPipe{}, f, printer.Options{}).Events()
		for _, e := range succeeding() {
			sink.Emit(e)
		}
	}
}

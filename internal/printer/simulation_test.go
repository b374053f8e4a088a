package printer_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/meshpol/meshpol/internal/golden"
	"github.com/meshpol/meshpol/internal/printer"
	"github.com/meshpol/meshpol/pkg/simulate"
)

func simulations() []printer.SimulationView {
	spread := func(median, p90 float64) simulate.Spread {
		return simulate.Spread{N: 500, Mean: median + 1, Median: median, P90: p90, Most: 2 * p90}
	}
	ends := func(end simulate.End, n int, other simulate.End) []simulate.Count {
		return []simulate.Count{{Name: string(end), Runs: n}, {Name: string(other), Runs: 500 - n}}
	}
	traffic := simulate.DefaultTraffic()
	traffic.Sick, traffic.Latency = 0.25, 40*time.Millisecond
	reports := []simulate.Report{
		{Name: "cart-timeout", Target: "service shop/cart", Strategy: "canary", Traffic: traffic, Runs: 500, Seed: 1, Asks: true,
			Steps: []simulate.Step{{Name: "step 0"}, {Name: "1 %"}, {Name: "50 %"}, {Name: "bake"}, {Name: "fold"}},
			Rules: []simulate.Rule{
				{Name: "meshpol", Good: simulate.Tally{Runs: 500, Ends: ends(simulate.Passed, 499, simulate.Failed), Took: spread(900, 1320),
					Bounds: []simulate.Count{{Name: "1.5×", Runs: 100}, {Name: "2×", Runs: 400}}},
					Bad: &simulate.Tally{Harm: "errors=5x", Runs: 500, Ends: ends(simulate.Failed, 480, simulate.Inconclusive), Found: spread(327, 447),
						FoundAt: []simulate.Count{{Name: "1 %", Runs: 1}, {Name: "50 %", Runs: 479}}, Harmed: spread(50, 1100), HarmedShare: 0.0009}},
				{Name: "Flagger", About: "99 % each minute", Good: simulate.Tally{Runs: 500, Ends: ends(simulate.Failed, 20, simulate.Passed), Took: spread(300, 300)},
					Bad: &simulate.Tally{Harm: "errors=5x", Runs: 500, Ends: ends(simulate.Passed, 480, simulate.NoData), Harmed: spread(70, 90), HarmedShare: 0.001}},
			}},
		{Name: "b", Target: "service shop/b", Strategy: "direct", Traffic: simulate.DefaultTraffic(), Runs: 1, Seed: 7, Steps: []simulate.Step{{Name: "fold"}},
			Rules: []simulate.Rule{{Name: "meshpol", Good: simulate.Tally{Runs: 1, Ends: []simulate.Count{{Name: "Pass", Runs: 1}}, Took: spread(120, 120)}}}},
	}
	reports[0].Tripwire = []string{"1 %", "50 %"}
	bad := reports[0].Rules[0].Bad
	bad.Tripped = 12
	bad.Why = []simulate.Why{{End: string(simulate.Inconclusive), Step: "50 %", Reason: "inconclusive: no bound shown up to 20×", Runs: 19, Of: 20}}
	return []printer.SimulationView{{Report: reports[0], Notes: []string{"MP207: the proof step has 10 %: below 25 % a bound takes long to show"}}, {Report: reports[1]}}
}

func TestSimulations(t *testing.T) {
	for name, c := range map[string]struct {
		format printer.Format
		opts   printer.Options
	}{
		"simulation":        {printer.Text, printer.Options{}},
		"simulation-narrow": {printer.Text, printer.Options{Width: 60}},
		"simulation-colour": {printer.Text, printer.Options{Width: 80, Colour: true}},
		"simulation-json":   {printer.JSON, printer.Options{}},
		"simulation-yaml":   {printer.YAML, printer.Options{}},
	} {
		var out bytes.Buffer
		if err := printer.New(&out, c.format, c.opts).Simulations(nil, simulations()); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, name+".golden", out.Bytes())
	}
}

package simulate

import (
	"cmp"
	"math"
	"slices"
)

// Report is what the runs of one target came to.
type Report struct {
	Name     string  `json:"name"`
	Target   string  `json:"target"`
	Strategy string  `json:"strategy"`
	Steps    []Step  `json:"steps"`
	Traffic  Traffic `json:"traffic"`
	Runs     int     `json:"runs"`
	Seed     uint64  `json:"seed"`
	// Asks tells that the rollout pauses for a person; here somebody promotes it at once.
	Asks bool `json:"asks,omitempty"`
	// Tripwire are the names of the steps at which the proxies are read every second; none: it is off, or has none to watch.
	Tripwire []string `json:"tripwire,omitempty"`
	// Rules are the rules that decided; the first is meshpol's own.
	Rules []Rule `json:"rules"`
}

// Step is a step of the plan in words.
type Step struct {
	Name     string `json:"name"`
	Exposure string `json:"exposure"`
}

// Rule is what a way of deciding came to on the same traffic.
type Rule struct {
	// Name is meshpol, Flagger, …; About says what it goes by.
	Name  string `json:"name"`
	About string `json:"about,omitempty"`
	// Good is a policy that does no harm, Bad one that does the harm asked for; nil: none was asked for.
	Good Tally  `json:"good"`
	Bad  *Tally `json:"bad,omitempty"`
}

// Tally sums up runs.
type Tally struct {
	Harm string `json:"harm,omitempty"`
	Runs int    `json:"runs"`
	// Ends counts runs by how they ended.
	Ends []Count `json:"ends"`
	// FoundAt counts the runs that were taken back for harm by the step at which they were.
	FoundAt []Count `json:"foundAt,omitempty"`
	// Tripped is how many of the runs the tripwire ended, taken back or paused.
	Tripped int `json:"tripped,omitempty"`
	// Why has, for each end that is no pass, the commonest reason with its step.
	Why []Why `json:"why,omitempty"`
	// Bounds counts the passes by the bound that they showed, smallest first; "none" is a pass without one.
	Bounds []Count `json:"bounds,omitempty"`
	// Found is the time from the first request under the policy until it was out, of the runs taken back for harm; Asked
	// that until a person was asked, of the pauses; Took is the time from the start to the end of the passes.
	Found Spread `json:"foundSeconds"`
	Asked Spread `json:"askedSeconds,omitzero"`
	Took  Spread `json:"tookSeconds"`
	// Harmed are the requests harmed per run, whatever its end; HarmedShare is their share of all requests since the
	// policy was first in force.
	Harmed      Spread  `json:"harmed"`
	HarmedShare float64 `json:"harmedShare"`
}

// Count is how many runs had something in common.
type Count struct {
	Name string `json:"name"`
	Runs int    `json:"runs"`
}

// Spread are the values of a number over its runs.
type Spread struct {
	N      int     `json:"n"`
	Mean   float64 `json:"mean"`
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	Most   float64 `json:"most"`
}

// Share is the share of the runs that ended so.
func (t Tally) Share(end End) float64 {
	for _, c := range t.Ends {
		if c.Name == string(end) {
			return float64(c.Runs) / float64(max(1, t.Runs))
		}
	}
	return 0
}

// Upper is the upper end of a 95 % interval of a share (Wilson): what one may not rule out after so many runs.
func (t Tally) Upper(end End) float64 {
	const z = 1.96
	n, p := float64(max(1, t.Runs)), t.Share(end)
	return (p + z*z/(2*n) + z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))) / (1 + z*z/n)
}

// tally sums up outcomes; names gives the order of the steps.
func tally(harm Harm, outcomes []outcome, names []string) Tally {
	t := Tally{Harm: harm.Text, Runs: len(outcomes)}
	ends, at, bounds := map[string]int{}, map[string]int{}, map[float64]int{}
	var found, asked, took, harmed []float64
	var requests, hurt float64
	for _, o := range outcomes {
		ends[string(o.end)]++
		requests, hurt = requests+o.requests, hurt+o.harmed
		harmed = append(harmed, o.harmed)
		if o.tripped {
			t.Tripped++
		}
		switch o.end {
		case Paused:
			asked = append(asked, o.exposed.Seconds())
		case Failed:
			at[o.step]++
			found = append(found, o.exposed.Seconds())
		case Passed:
			bounds[o.bound]++
			took = append(took, o.took.Seconds())
		}
	}
	for _, e := range Ends() {
		t.Ends = counted(t.Ends, string(e), ends)
	}
	for _, name := range names {
		t.FoundAt = counted(t.FoundAt, name, at)
	}
	t.Bounds, t.Why = boundCounts(bounds), whys(outcomes)
	t.Found, t.Asked, t.Took, t.Harmed = spread(found), spread(asked), spread(took), spread(harmed)
	if requests > 0 {
		t.HarmedShare = hurt / requests
	}
	return t
}

func counted(list []Count, name string, counts map[string]int) []Count {
	if n := counts[name]; n > 0 && !slices.ContainsFunc(list, func(c Count) bool { return c.Name == name }) {
		return append(list, Count{Name: name, Runs: n})
	}
	return list
}

func boundCounts(bounds map[float64]int) []Count {
	var keys []float64
	for b := range bounds {
		keys = append(keys, b)
	}
	slices.SortFunc(keys, func(a, b float64) int { return cmp.Compare(weakness(a), weakness(b)) })
	var out []Count
	for _, b := range keys {
		out = append(out, Count{Name: boundName(b), Runs: bounds[b]})
	}
	if len(out) == 1 && out[0].Name == noBound {
		return nil // the strategy shows none
	}
	return out
}

// noBound is a pass that showed no bound.
const noBound = "none"

func boundName(b float64) string {
	if b == 0 {
		return noBound
	}
	return times(b)
}

// weakness orders bounds, those that were not shown last.
func weakness(b float64) float64 {
	if b == 0 {
		return math.Inf(1)
	}
	return b
}

func spread(v []float64) Spread {
	if len(v) == 0 {
		return Spread{}
	}
	slices.Sort(v)
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	at := func(q float64) float64 { return tidy(v[min(len(v)-1, int(q*float64(len(v))))]) }
	return Spread{N: len(v), Mean: tidy(sum / float64(len(v))), Median: at(0.5), P90: at(0.9), Most: tidy(v[len(v)-1])}
}

// tidy keeps three places: more is noise, and would differ between processors.
func tidy(v float64) float64 { return math.Round(v*1000) / 1000 }

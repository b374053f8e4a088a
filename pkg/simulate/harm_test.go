package simulate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/simulate"
)

func TestParseHarms(t *testing.T) {
	for name, c := range map[string]struct {
		texts []string
		want  simulate.Harm
	}{
		"none":     {nil, simulate.Harm{}},
		"times":    {[]string{"errors=5x"}, simulate.Harm{Text: "errors=5x", Times: 5}},
		"more":     {[]string{"errors=+2%"}, simulate.Harm{Text: "errors=+2%", More: 0.02}},
		"slower":   {[]string{"latency=+50%"}, simulate.Harm{Text: "latency=+50%", Slower: 0.5}},
		"fail":     {[]string{"fail=90%"}, simulate.Harm{Text: "fail=90%", Fail: 0.9}},
		"hang":     {[]string{"hang"}, simulate.Harm{Text: "hang", Hang: true}},
		"silent":   {[]string{"silent"}, simulate.Harm{Text: "silent", Silent: true}},
		"together": {[]string{"errors=2x", "fail=50%", "fail=50%"}, simulate.Harm{Text: "errors=2x fail=50% fail=50%", Times: 2, Fail: 0.75}},
	} {
		got, err := simulate.ParseHarms(c.texts)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %s %v", name, diff, err)
		}
		if got.None() != (name == "none") {
			t.Errorf("%s: none is %v", name, got.None())
		}
	}
}

func TestBadHarmsAreRefused(t *testing.T) {
	const usage = ": write errors=5x, errors=+2%, latency=+50%, fail=90%, hang or silent"
	for text, want := range map[string]string{
		"":               `harm ""` + usage,
		"errors":         `harm "errors"` + usage,
		"errors=5":       `harm "errors=5"` + usage,
		"latency=50%":    `harm "latency=50%"` + usage,
		"hang=1":         `harm "hang=1"` + usage,
		"errors=0.5x":    `harm "errors=0.5x": 0.5 is out of range: write 1 to 1000000`,
		"errors=NaNx":    `harm "errors=NaNx": NaN is out of range: write 1 to 1000000`,
		"errors=manyx":   `harm "errors=manyx": "many" is no number`,
		"fail=0.9":       `harm "fail=0.9": "0.9" is no share: write it in percent, as in 0.1%`,
		"fail=101%":      `harm "fail=101%": 101 is out of range: write 0 to 100`,
		"latency=+-1%":   `harm "latency=+-1%": -1 is out of range: write 0 to 1000000`,
		"errors=+1e999%": `harm "errors=+1e999%": "1e999" is no number`,
	} {
		if _, err := simulate.ParseHarms([]string{text}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

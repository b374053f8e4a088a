package istio

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/policy"
	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

func windows() *rapid.Generator[policy.Window] {
	return rapid.Custom(func(t *rapid.T) policy.Window {
		return policy.Window{
			Start: rapid.IntRange(0, policy.Buckets-1).Draw(t, "start"),
			Width: rapid.OneOf(rapid.IntRange(1, policy.Buckets), rapid.SampledFrom([]int{1, 15, 16, 17, 255, 256, 257, 4095, 4096})).Draw(t, "width"),
		}
	})
}

// ids are accepted ids and near misses of them.
func ids() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[479ab][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`),
		rapid.StringMatching(`[0-9A-F]{8}-[0-9A-F]{4}-[479AB][0-9A-F]{3}-[0-9A-F]{4}-[0-9A-F]{12}`),
		rapid.StringMatching(`[0-9a-fA-F]{32}`),
		rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
		rapid.StringMatching(`[0-9a-g]{31,33}`),
		rapid.StringMatching(`[0-9a-f-]{36}`),
		rapid.StringMatching(`[ \n]?[0-9a-f]{32}[ \n,]?`),
		rapid.String(),
	)
}

// whole matches as Envoy's safe_regex does: the whole value.
func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`\A(?:` + pattern + `)\z`) }

func TestWindowRegexIsTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := windows().Draw(t, "window")
		re := whole(windowRegex(w))
		for range 20 {
			id := ids().Draw(t, "id")
			if got, want := re.MatchString(id), w.Contains(policy.Bucket(id)); got != want {
				t.Fatalf("%q in %v: regex says %v, policy says %v", id, w, got, want)
			}
		}
	})
}

// TestWindowRegexCoversEveryBucket looks at all 4096 tails, where random ids would miss an edge.
func TestWindowRegexCoversEveryBucket(t *testing.T) {
	for _, w := range []policy.Window{
		{Start: 0, Width: 1}, {Start: 4095, Width: 1}, {Start: 4095, Width: 2}, {Start: 0, Width: 4095}, {Start: 1, Width: 4095},
		{Start: 0xe41, Width: 0x19a}, {Start: 0xff0, Width: 0x20}, {Start: 0x7ff, Width: 0x802}, {Start: 3, Width: 4096}, {Start: 0x100, Width: 0x100},
	} {
		re := whole(windowRegex(w))
		for tail := range policy.Buckets {
			for _, id := range []string{
				fmt.Sprintf("0123456789abcdef0123456789abc%03x", tail),
				strings.ToUpper(fmt.Sprintf("01234567-89ab-4def-8123-456789abc%03x", tail)),
			} {
				if got, want := re.MatchString(id), w.Contains(policy.Bucket(id)); got != want {
					t.Fatalf("%s in %v: regex says %v, policy says %v", id, w, got, want)
				}
			}
		}
	}
}

// TestWindowRegexIsPlain keeps it short and free of what JSON escapes: it stands in every clone of every route.
func TestWindowRegexIsPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		re := windowRegex(windows().Draw(t, "window"))
		if len(re) > 260 || strings.ContainsAny(re, `\"<>&' `) {
			t.Fatalf("%d characters: %s", len(re), re)
		}
	})
}

func TestEmptyAndFullWindows(t *testing.T) {
	if c := byRequest(policy.Window{Start: 7}); c != nil {
		t.Errorf("the empty window gives %v, want no condition", c)
	}
	c := byRequest(policy.Window{Start: 7, Width: policy.Buckets})
	if len(c) != 1 || len(c[0].headers)+len(c[0].source) != 0 {
		t.Errorf("the full window gives %v, want one condition that everything meets", c)
	}
}

func TestCookieRegexFindsOneCookie(t *testing.T) {
	re := whole(cookieRegex(v1alpha1.NameValue{Name: "lab.group", Value: "b+1"}))
	for cookie, want := range map[string]bool{
		"lab.group=b+1":                true,
		"a=1; lab.group=b+1":           true,
		"a=1;lab.group=b+1; c=2":       true,
		"lab.group=b+1;c=2":            true,
		"xlab.group=b+1":               false,
		"lab-group=b+1":                false,
		"lab.group=b+12":               false,
		"lab.group=bb1":                false,
		"a=lab.group=b+1":              false,
		"a=1; other=2; lab.group=c; d": false,
	} {
		if got := re.MatchString(cookie); got != want {
			t.Errorf("%q: got %v, want %v", cookie, got, want)
		}
	}
}

// TestNamesDoNotContainEachOther keeps markers honest: a proxy's dump is searched for the text, so no name of one
// exposure may be part of a name of another.
func TestNamesDoNotContainEachOther(t *testing.T) {
	n := names{"1a2b3c4d"}
	exposures := []policy.Exposure{
		{Mode: policy.Staged, By: policy.ByInstance}, {Mode: policy.Enforce, By: policy.ByInstance},
		{Mode: policy.Enforce, By: policy.ByMatch, Match: []v1alpha1.ABMatch{{Header: &v1alpha1.NameValue{Name: "a"}}}},
		{Mode: policy.Staged, By: policy.ByMatch, Match: []v1alpha1.ABMatch{{Header: &v1alpha1.NameValue{Name: "a"}}}},
		{Mode: policy.Enforce, By: policy.ByMatch, Match: []v1alpha1.ABMatch{{Header: &v1alpha1.NameValue{Name: "b"}}}},
	}
	for _, w := range []policy.Window{{Start: 1, Width: 1}, {Start: 1, Width: 0x10}, {Start: 0x10, Width: 0x100}, {Start: 0x100, Width: 4096}} {
		exposures = append(exposures, policy.Exposure{Mode: policy.Staged, By: policy.ByRequest, Window: w}, policy.Exposure{Mode: policy.Enforce, By: policy.ByRequest, Window: w})
	}
	seen := map[string]bool{}
	for _, e := range exposures {
		for _, i := range []int{0, 1, 10, 11} {
			seen[n.cloneAt(i, tag(e))] = true
		}
	}
	if len(seen) != 4*len(exposures) {
		t.Errorf("%d names for %d clones", len(seen), 4*len(exposures))
	}
	for a := range seen {
		for b := range seen {
			if a != b && strings.Contains(a, b) {
				t.Errorf("%s is in %s", b, a)
			}
		}
	}
}

func TestSubsetNames(t *testing.T) {
	n := names{"1a2b3c4d"}
	long := strings.Repeat("v", 60)
	for of, want := range map[string]string{
		"": "mp-new-1a2b3c4d", "v1": "v1-mp-new-1a2b3c4d", long: strings.Repeat("v", 40) + "-06dbbe-mp-new-1a2b3c4d",
	} {
		got := n.subset(of)
		if len(got) > maxSubset || !n.ourSubset(got) || !anyRun(got) {
			t.Errorf("%s is no name of ours", got)
		}
		if of != long && got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if n.subset(long) == n.subset(long+"x") {
		t.Error("two long names become one")
	}
	if n.ourSubset("v1-mp-new-ffffffff") || n.ourStat("mp-1a2b3c4dee-new") || n.ourEntry("mp-new-1a2b3c4de-0-p") {
		t.Error("names of another run are taken for ours")
	}
}

// TestNamesOfStep0: docs/metrics.md tells Istio by this expression which routes are those of step 0.
func TestNamesOfStep0(t *testing.T) {
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`xds\.route_name\.matches\('([^']+)'\) \? 'half'`).FindSubmatch(page)
	if said == nil {
		t.Fatal("docs/metrics.md has no expression")
	}
	of := regexp.MustCompile(string(said[1]))
	for _, m := range []policy.Mode{policy.Staged, policy.Enforce} {
		for _, e := range []policy.Exposure{
			{By: policy.ByRequest, Window: policy.Window{Start: 100, Width: 2048}}, {By: policy.ByInstance}, {By: policy.ByMatch},
		} {
			e.Mode = m
			if name := (names{"1a2b3c4d"}).cloneAt(12, tag(e)); of.MatchString(name) != (m == policy.Staged) {
				t.Errorf("%s is taken for the wrong step", name)
			}
		}
	}
}

package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/policy"
)

var anyWindow = rapid.Custom(func(t *rapid.T) policy.Window {
	return policy.Window{Start: rapid.IntRange(0, policy.Buckets-1).Draw(t, "start"), Width: rapid.IntRange(0, policy.Buckets).Draw(t, "width")}
})

func TestBucketOfAnID(t *testing.T) {
	cases := map[string]int{
		"3f2504e0-4f89-41d3-9a0c-0305e82c3301": 0x103, // version 4, read backwards: 1, 0, 3
		"018f3c9e-7b1a-7cc0-8def-0123456789aB": 0xba9, // version 7, either case
		"3f2504e0-4f89-91d3-9a0c-0305e82c3fff": 0xfff, // Envoy's trace marks
		"3f2504e0-4f89-a1d3-9a0c-0305e82c3f00": 0x00f,
		"0123456789abcdef0123456789abcdef":     0xfed, // ingress-nginx
		"3f2504e0-4f89-11d3-9a0c-0305e82c3301": -1,    // version 1
		"3f2504e0-4f89-41d3-9a0c-0305e82c330":  -1,
		"3f2504e0x4f89-41d3-9a0c-0305e82c3301": -1,
		"3f2504e0-4f89-41d3-9a0c-0305e82c330g": -1,
		"0123456789abcdef0123456789abcdeg":     -1,
		"":                                     -1,
		"abc":                                  -1,
		"--------------4------------------000": -1, // more dashes than a UUID has
	}
	for id, want := range cases {
		if got := policy.Bucket(id); got != want {
			t.Errorf("Bucket(%q) = %#x, want %#x", id, got, want)
		}
	}
}

// TestSuffixesAreTheWindow holds that an id ends in exactly one suffix of a window where its bucket is in it.
func TestSuffixesAreTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWindow.Draw(t, "window")
		suffixes := w.Suffixes()
		if len(suffixes) > 80 {
			t.Fatalf("%d suffixes", len(suffixes))
		}
		for b := range policy.Buckets {
			id := "0123456789abcdef0123456789abc" + backwards(fmt.Sprintf("%03x", b))
			hits := 0
			for _, s := range suffixes {
				if strings.HasSuffix(id, s) {
					hits++
				}
			}
			if policy.Bucket(id) != b || (hits == 1) != w.Contains(b) || hits > 1 {
				t.Fatalf("bucket %#x of %s: %d suffixes of %v fit, contained %v", b, id, hits, suffixes, w.Contains(b))
			}
		}
	})
}

func backwards(s string) string {
	return string([]byte{s[2], s[1], s[0]})
}

func TestWindowsGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.String().Draw(t, "seed")
		a, b := rapid.Float64Range(0, 1).Draw(t, "a"), rapid.Float64Range(0, 1).Draw(t, "b")
		narrow, wide := policy.NewWindow(seed, min(a, b)), policy.NewWindow(seed, max(a, b))
		if narrow.Start != wide.Start || narrow.Width > wide.Width {
			t.Fatalf("%v is not inside %v", narrow, wide)
		}
		if got := wide.Share() - max(a, b); got > 1.0/policy.Buckets || got < -1.0/policy.Buckets {
			t.Fatalf("asked %v, got %v", max(a, b), wide.Share())
		}
	})
}

func TestWindowEdges(t *testing.T) {
	if w := policy.NewWindow("x", 0.00001); w.Width != 1 {
		t.Errorf("a small share has %d buckets", w.Width)
	}
	if w := policy.NewWindow("x", 0); w.Width != 0 || len(w.Suffixes()) != 0 {
		t.Errorf("no share has %v", w)
	}
	if diff := cmp.Diff([]string{""}, policy.NewWindow("x", 1).Suffixes()); diff != "" {
		t.Error(diff)
	}
	if (policy.Window{Width: 4096}).Contains(-1) {
		t.Error("an id that is not accepted is in a window")
	}
}

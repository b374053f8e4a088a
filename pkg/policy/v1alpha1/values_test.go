package v1alpha1_test

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

func TestDurationReadsWhatItWrites(t *testing.T) {
	written := regexp.MustCompile(v1alpha1.DurationPattern)
	rapid.Check(t, func(t *rapid.T) {
		in := v1alpha1.Duration{Duration: time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "d"))}
		text, err := json.Marshal(in)
		if err != nil || !written.MatchString(in.Text()) {
			t.Fatal(in.Text(), err)
		}
		var out v1alpha1.Duration
		if err := json.Unmarshal(text, &out); err != nil || out != in {
			t.Fatalf("%s became %s: %v", in.Text(), out.Text(), err)
		}
	})
}

func TestDurationText(t *testing.T) {
	cases := map[time.Duration]string{
		0: "0s", 250 * time.Millisecond: "250ms", 90 * time.Second: "1m30s", 5 * time.Minute: "5m", time.Hour: "1h", time.Hour + time.Second: "1h0m1s",
		90 * time.Minute: "1h30m",
	}
	for d, want := range cases {
		if got := (v1alpha1.Duration{Duration: d}).Text(); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}

func TestValuesFromJSON(t *testing.T) {
	duration := func(s string) (any, error) {
		var d v1alpha1.Duration
		err := json.Unmarshal([]byte(s), &d)
		return d.Text(), err
	}
	percent := func(s string) (any, error) {
		var p v1alpha1.Percent
		err := json.Unmarshal([]byte(s), &p)
		return p, err
	}
	cases := map[string]struct {
		read func(string) (any, error)
		want any // nil: an error
	}{
		`"1h30m"`: {duration, "1h30m"}, `"0s"`: {duration, "0s"}, `"1.5s"`: {duration, "1.5s"},
		`5`: {duration, nil}, `"5"`: {duration, nil}, `"-5s"`: {duration, nil}, `"5 s"`: {duration, nil}, `"1d"`: {duration, nil}, `""`: {duration, nil},
		`25`: {percent, v1alpha1.Percent(25)}, `2.5`: {percent, v1alpha1.Percent(2.5)}, `"25%"`: {percent, v1alpha1.Percent(25)},
		`"2.5 %"`: {percent, v1alpha1.Percent(2.5)}, `"25"`: {percent, v1alpha1.Percent(25)}, `1e1`: {percent, v1alpha1.Percent(10)},
		`"half"`: {percent, nil}, `"-1"`: {percent, nil}, `"NaN"`: {percent, nil}, `true`: {percent, nil}, `"%"`: {percent, nil}, `[1]`: {percent, nil},
	}
	for text, c := range cases {
		got, err := c.read(text)
		if (err != nil) != (c.want == nil) || (err == nil && got != c.want) {
			t.Errorf("%s became %v, %v; want %v", text, got, err, c.want)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, seed := range []string{`"5m"`, `"1h30m"`, `25`, `"25%"`, `"`, `null`, `"99999999999999h"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d v1alpha1.Duration
		if d.UnmarshalJSON(data) == nil && d.Duration < 0 {
			t.Errorf("%s is negative", data)
		}
		var p v1alpha1.Percent
		if p.UnmarshalJSON(data) == nil && p != p {
			t.Errorf("%s is not a number", data)
		}
	})
}

func TestFormatsMatchTheWholeText(t *testing.T) {
	good := map[string][]string{
		"dns-label": {"a", "cart-2", "0"}, "service-account": {"web", "shop/web", "shop/a.b"}, "gateway": {"public", "istio-ingress/public"},
		"host": {"cart", "api.example.com", "*.example.com"}, "route-name": {"checkout", "A.b_c"}, "path": {"/", "/a/b", "/api/*"}, "method": {"GET", "PATCH"},
		"header": {"x-beta", ":authority"[1:]}, "cidr": {"10.0.0.0/8", "::1"}, "retry-on": {"5xx", "503", "reset"}, "grpc-status": {"UNAVAILABLE"},
	}
	bad := map[string][]string{
		"dns-label": {"", "-a", "a-", "A", "a.b", "a\n"}, "service-account": {"", "a/b/c", "/a"}, "gateway": {"a/", "a//b"},
		"host": {"https://a", "a:80", "*", "a.*", "A.b"}, "route-name": {"", "-a", "a b"}, "path": {"a", "/a b", "/a?b", "/a*b", ""}, "method": {"get", "ANY", ""},
		"header": {"", "a b", "a:b"}, "cidr": {"", "a b", "10.0.0.0/"}, "retry-on": {"200", "600", "6xx", "", "retriable-headers"}, "grpc-status": {"unavailable", "OK", ""},
	}
	for name, f := range v1alpha1.Formats() {
		re := regexp.MustCompile(f.Pattern)
		if len(good[name]) == 0 || len(bad[name]) == 0 || f.Says == "" {
			t.Errorf("the format %s has no case or no words", name)
		}
		for _, s := range good[name] {
			if !re.MatchString(s) {
				t.Errorf("%s refuses %q", name, s)
			}
		}
		for _, s := range bad[name] {
			if re.MatchString(s) {
				t.Errorf("%s accepts %q", name, s)
			}
		}
	}
}

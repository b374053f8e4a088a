package xds

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// The files of testdata were recorded from istiod 1.31-dev and Envoy 1.40 in the lab; one web pod refuses its routes.

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseRecordedSyncz(t *testing.T) {
	list, err := ParseSyncz(bytes.NewReader(recorded(t, "syncz.json")))
	if err != nil || len(list) != 4 {
		t.Fatalf("%d proxies, %v", len(list), err)
	}
	refusing := 0
	for _, s := range list {
		if !strings.HasPrefix(s.Proxy, "shop/") || s.Type != "sidecar" || s.Cluster != "Kubernetes" {
			t.Errorf("%+v", s)
		}
		if s.Routes.Error != "" {
			refusing++
			if s.Routes.Settled() || s.Routes.Error != "Only a single wildcard domain is permitted in route 80" {
				t.Errorf("%+v", s.Routes)
			}
		}
		for _, scope := range []Scope{Routes, Clusters, Listeners} {
			if v := ParseNonce(s.watch(scope).Acked); !v.Known() || v.Time.Year() != 2026 {
				t.Errorf("%s of %s: version %+v of %q", scope, s.Proxy, v, s.watch(scope).Acked)
			}
		}
	}
	if refusing != 1 {
		t.Errorf("%d refuse", refusing)
	}
}

func TestParseOlderSyncz(t *testing.T) {
	list, err := ParseSyncz(bytes.NewReader(recorded(t, "syncz-before-1.23.json")))
	if err != nil || len(list) != 4 || list[0].Routes.Error != "" || list[0].Routes.Acked == "" {
		t.Fatalf("%+v, %v", list, err)
	}
}

func TestParseSynczRefusesOtherThings(t *testing.T) {
	for _, text := range []string{"", "{}", "null", "[", `[{"proxy":1}]`, `[{"proxy":"a.b"}`, "upstream connect error"} {
		if _, err := ParseSyncz(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if list, err := ParseSyncz(strings.NewReader("[]")); err != nil || len(list) != 0 {
		t.Errorf("empty: %v %v", list, err)
	}
}

func TestScanRecordedDumps(t *testing.T) {
	for name, c := range map[string]struct {
		file  string
		texts []string
		want  []bool
	}{
		"routes":   {"routes.json", []string{"barrier.kubelab.svc.cluster.local", "mp-new-", "\"plain\""}, []bool{true, false, true}},
		"clusters": {"clusters.json", []string{"outbound|80||barrier.kubelab.svc.cluster.local", "|mp-new-1|"}, []bool{true, false}},
	} {
		got, err := Scan(bytes.NewReader(recorded(t, c.file)), c.texts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.want {
			if got[i] != c.want[i] {
				t.Errorf("%s: %q: %v", name, c.texts[i], got[i])
			}
		}
	}
}

func TestScanFindsTextsAcrossPieces(t *testing.T) {
	text := strings.Repeat("x", scanChunk-3) + "mp-new-ab12-0-w25" + strings.Repeat("y", scanChunk)
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text[scanChunk-10:])), iotest.DataErrReader(strings.NewReader(text))} {
		got, err := Scan(r, []string{"mp-new-ab12-0-w25", "", "absent"})
		if err != nil || !got[0] || !got[1] || got[2] {
			t.Errorf("%v %v", got, err)
		}
	}
	if _, err := Scan(iotest.ErrReader(errors.New("broken")), []string{"a"}); err == nil {
		t.Error("no error")
	}
}

func TestParseNonce(t *testing.T) {
	const id = "0d1d3b3c-11aa-4b55-9b1c-2c8f1d2e3f40"
	for nonce, want := range map[string]uint64{
		"2026-11-24T10:20:57Z/35" + id:      35, // a counter is followed by hex digits without a separator
		"2026-11-24T10:20:57+02:00/1" + id:  1,
		"2026-11-24T10:20:57Z/" + id:        0,
		id:                                  0,
		"":                                  0,
		"35" + id:                           0,
		"yesterday/35" + id:                 0,
		"2026-11-24T10:20:57Z/-1" + id:      0,
		"2026-11-24T10:20:57Z/35" + id[:35]: 3,
	} {
		if got := ParseNonce(nonce).Counter; got != want {
			t.Errorf("%q: %d, want %d", nonce, got, want)
		}
	}
}

func TestPodOf(t *testing.T) {
	for id, want := range map[string]string{"cart-1.shop": "shop/cart-1", "a.b.c": "c/a.b", "odd": "odd"} {
		if got := podOf(id); got != want {
			t.Errorf("%s: %s", id, got)
		}
	}
}

func FuzzParseSyncz(f *testing.F) {
	f.Add(recorded(f, "syncz.json"))
	f.Add([]byte(`[{"proxy":"a.b","route_sent":"x"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseSyncz(bytes.NewReader(b))
		if err == nil && !json.Valid(bytes.TrimSpace(b)) && len(list) > 0 {
			// What follows the list is not looked at; the list itself must have been JSON.
			if i := bytes.LastIndexByte(b, ']'); i < 0 {
				t.Errorf("read %d proxies out of %q", len(list), b)
			}
		}
		for _, s := range list {
			ParseNonce(s.Routes.Sent)
		}
	})
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("some mp-new-1 text"), "mp-new-1")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		got, err := Scan(iotest.HalfReader(bytes.NewReader(b)), []string{text})
		if err != nil || got[0] != bytes.Contains(b, []byte(text)) {
			t.Errorf("%q in %q: %v %v", text, b, got, err)
		}
	})
}

func FuzzParseNonce(f *testing.F) {
	f.Add("2026-11-24T10:20:57Z/350d1d3b3c-11aa-4b55-9b1c-2c8f1d2e3f40")
	f.Fuzz(func(t *testing.T, nonce string) {
		if v := ParseNonce(nonce); v.Known() && !v.AtLeast(v) {
			t.Errorf("%q: %+v is older than itself", nonce, v)
		}
	})
}

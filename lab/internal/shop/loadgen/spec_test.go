package loadgen

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

const (
	plain = `"target":"http://cart","rps":10,"duration":"1s"`
	calls = `"rps":10,"duration":"1s","target":"grpc://stock`
)

func TestParseSpecFillsInDefaults(t *testing.T) {
	got, err := ParseSpec([]byte(`{"rps":2000,"duration":"2h"}`), "http://cart")
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	want := Spec{
		Target: "http://cart", RPS: 2000, Duration: jsonhttp.Duration(2 * time.Hour), Concurrency: 512, Paths: []string{"/"},
		Method: "GET", KeepAlive: &yes, RequestIDs: "client", Timeout: jsonhttp.Duration(15 * time.Second), MaxRecords: 4194304,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got, err = ParseSpec([]byte(`{`+plain+`,"keepalive":false}`), "")
	if err != nil || *got.KeepAlive {
		t.Errorf("keepalive false: %+v, %v", got, err)
	}
}

func TestParseSpecRefuses(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`"/x",`, 257), ",")
	for body, want := range map[string]string{
		`{"duration":"1s","target":"http://a"}`:              "field rps is 0; allowed: more than 0, at most 2000",
		`{"rps":2000.1,"duration":"1s","target":"http://a"}`: "field rps is 2000.1; allowed: more than 0, at most 2000",
		`{"rps":-1,"duration":"1s","target":"http://a"}`:     "field rps is -1; allowed: more than 0, at most 2000",
		`{"rps":1,"target":"http://a"}`:                      "field duration is 0s; allowed: 1ms to 2h0m0s",
		`{"rps":1,"duration":"2h1s","target":"http://a"}`:    "field duration is 2h0m1s; allowed: 1ms to 2h0m0s",
		`{"rps":1,"duration":"1s"}`:                          `field target is ""; allowed: an http URL without a query, such as http://user-service`,
		`{"rps":1,"duration":"1s","target":"https://a"}`:     `field target is "https://a"; allowed: an http URL without a query, such as http://user-service`,
		`{` + calls + `:x"}`:                                 `field target is "grpc://stock:x"; allowed: for gRPC a host and a port, such as grpc://stock:9000`,
		`{` + calls + `"}`:                                   `field target is "grpc://stock"; allowed: for gRPC a host and a port, such as grpc://stock:9000`,
		`{` + calls + `:9000/a"}`:                            `field target is "grpc://stock:9000/a"; allowed: for gRPC a host and a port, such as grpc://stock:9000`,
		`{` + calls + `:9000","paths":["/a"]}`:               `field paths is "/a"; allowed: for gRPC nothing but /meshpol.shop.Stock/Check`,
		`{` + calls + `:9000","method":"POST"}`:              `field method is "POST"; allowed: none for gRPC`,
		`{` + calls + `:9000","keepalive":false}`:            `field keepalive is false; allowed: true for gRPC`,
		`{` + plain + `,"concurrency":5000}`:                 "field concurrency is 5000; allowed: 1 to 4096",
		`{` + plain + `,"timeout":"11m"}`:                    "field timeout is 11m0s; allowed: 1ms to 10m0s",
		`{` + plain + `,"maxRecords":4194305}`:               "field maxRecords is 4194305; allowed: 1 to 4194304",
		`{` + plain + `,"paths":["/a","b"]}`:                 `field paths[1] is "b"; allowed: a path that starts with one /, with a query if needed`,
		`{` + plain + `,"paths":["//a/b"]}`:                  `field paths[0] is "//a/b"; allowed: a path that starts with one /, with a query if needed`,
		`{` + plain + `,"paths":[` + many + `]}`:             `field paths is "a list of 257"; allowed: at most 256`,
		`{` + plain + `,"method":"get"}`:                     `field method is "get"; allowed: GET, HEAD, DELETE, POST, PUT`,
		`{` + plain + `,"requestIDs":"none"}`:                `field requestIDs is "none"; allowed: client, proxy, hex32`,
		`{` + plain + `,"headers":{"X-Request-Id":"1"}}`:     `field headers.X-Request-Id is "1"; allowed: any other header; requestIDs decides about x-request-id`,
		`{` + plain + `,"headers":{"a b":"1"}}`:              `field headers.a b is "1"; allowed: a header other than Host and a value on one line`,
		`{` + plain + `,"headers":{"Host":"1"}}`:             `field headers.Host is "1"; allowed: a header other than Host and a value on one line`,
		`{` + plain + `,"headers":{"a":"1\n2"}}`:             `field headers.a is "1\n2"; allowed: a header other than Host and a value on one line`,
	} {
		if _, err := ParseSpec([]byte(body), ""); err == nil || err.Error() != want {
			t.Errorf("%.80s:\n got %v\nwant %s", body, err, want)
		}
	}
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID(ClientIDs)
		if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' || id[14] != '4' ||
			!strings.Contains("89ab", string(id[19])) || seen[id] {
			t.Fatalf("%q is not a new UUID of version 4", id)
		}
		hex := newID(Hex32IDs)
		if len(hex) != 32 || strings.Trim(hex, "0123456789abcdef") != "" || seen[hex] {
			t.Fatalf("%q is not 32 new hex digits", hex)
		}
		seen[id], seen[hex] = true, true
	}
	if id := newID(ProxyIDs); id != "" {
		t.Errorf("with proxy ids the client made %q", id)
	}
}

func ExampleBusyError() {
	fmt.Println(&BusyError{Run: "7", State: Draining})
	// Output: starting a load: run 7 is draining; wait for its end (GET /load) or stop it (DELETE /load)
}

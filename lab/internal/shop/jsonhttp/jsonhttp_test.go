package jsonhttp_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

type sample struct {
	Name  string            `json:"name"`
	Ratio float64           `json:"ratio,omitempty"`
	Count int               `json:"count"`
	On    *bool             `json:"on"`
	Wait  jsonhttp.Duration `json:"wait"`
	Paths []string          `json:"paths"`
	Extra map[string]string `json:"extra"`
}

func TestObject(t *testing.T) {
	var got sample
	body := `{"name":"a","ratio":0.5,"count":3,"on":false,"wait":"1.5s","paths":["/"],"extra":{"k":"v"}}`
	if err := jsonhttp.Object([]byte(body), "", &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "a" || got.Ratio != 0.5 || got.Count != 3 || got.On == nil || *got.On ||
		time.Duration(got.Wait) != 1500*time.Millisecond || got.Paths[0] != "/" || got.Extra["k"] != "v" {
		t.Errorf("%+v", got)
	}
	out, err := json.Marshal(got)
	if err != nil || string(out) != body {
		t.Errorf("written back as %s, %v", out, err)
	}
}

func TestObjectNamesTheFieldAndWhatIsAllowed(t *testing.T) {
	for body, want := range map[string]string{
		``:                  "field (the whole body) is empty; allowed: a JSON object",
		`null`:              "field (the whole body) is null; allowed: a JSON object",
		`[]`:                "field (the whole body) is []; allowed: a JSON object",
		`{"wait":150}`:      `field wait is 150; allowed: a duration as a string, such as "150ms" or "2s"`,
		`{"wait":"1"}`:      `field wait is "1"; allowed: a duration as a string, such as "150ms" or "2s"`,
		`{"count":1.5}`:     "field count is 1.5; allowed: a whole number",
		`{"ratio":"half"}`:  `field ratio is "half"; allowed: a number`,
		`{"on":1}`:          "field on is 1; allowed: true or false",
		`{"name":1}`:        "field name is 1; allowed: a string",
		`{"paths":"/"}`:     `field paths is "/"; allowed: a list, each a string`,
		`{"extra":{"k":1}}`: `field extra is {"k":1}; allowed: an object, each value a string`,
		`{"nome":"a"}`:      "field nome is not known; allowed: a field called count, extra, name, on, paths, ratio, wait",
		`{"Name":"a"}`:      "field Name is not known; allowed: a field called count, extra, name, on, paths, ratio, wait",
	} {
		err := jsonhttp.Object([]byte(body), "", new(sample))
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", body, err, want)
		}
	}
}

func TestListNamesTheElement(t *testing.T) {
	got, err := jsonhttp.List[sample]([]byte(`[{"name":"a"},{"name":"b"}]`))
	if err != nil || len(got) != 2 || got[1].Name != "b" {
		t.Errorf("%+v, %v", got, err)
	}
	for body, want := range map[string]string{
		`{}`:                  "field (the whole body) is {}; allowed: a JSON array of objects",
		`null`:                "field (the whole body) is null; allowed: a JSON array of objects",
		`[{},3]`:              "field [1] is 3; allowed: a JSON object",
		`[{},{"ratio":true}]`: "field [1].ratio is true; allowed: a number",
	} {
		if _, err := jsonhttp.List[sample]([]byte(body)); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", body, err, want)
		}
	}
}

func TestFailAnswersFieldsWith400(t *testing.T) {
	w := httptest.NewRecorder()
	jsonhttp.Fail(w, http.StatusInternalServerError, jsonhttp.Refuse("[0].path", "x", "a path that starts with /"))
	want := `{"error":"field [0].path is \"x\"; allowed: a path that starts with /","field":"[0].path",` +
		`"got":"\"x\"","allowed":"a path that starts with /"}`
	if w.Code != http.StatusBadRequest || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	jsonhttp.Fail(w, http.StatusConflict, errors.New("busy"))
	if w.Code != http.StatusConflict || strings.TrimSpace(w.Body.String()) != `{"error":"busy"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestBodyIsBounded(t *testing.T) {
	r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(strings.Repeat(" ", 1<<20+1)))
	if _, err := jsonhttp.Body(r); err == nil {
		t.Error("a body of more than 1 MiB was read")
	}
	r = httptest.NewRequest(http.MethodPut, "/", strings.NewReader("[]"))
	if data, err := jsonhttp.Body(r); err != nil || string(data) != "[]" {
		t.Errorf("%q, %v", data, err)
	}
}

package prometheus

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAsk(t *testing.T) {
	answer := func(kind, result string) string {
		return `{"status":"success","data":{"resultType":"` + kind + `","result":` + result + `}}`
	}
	for name, c := range map[string]struct {
		body string
		want float64
		says string
	}{
		"a scalar":       {answer("scalar", `[1,"0.5"]`), 0.5, ""},
		"one series":     {answer("vector", `[{"metric":{},"value":[1,"7"]}]`), 7, ""},
		"no number":      {answer("vector", `[{"metric":{},"value":[1,"NaN"]}]`), math.NaN(), ""},
		"none":           {answer("vector", `[]`), 0, "no series answers the query sum(orders)"},
		"two series":     {answer("vector", `[{"metric":{"a":"b"},"value":[1,"7"]},{"metric":{},"value":[1,"7"]}]`), 0, "the query sum(orders) gives 2 series where one number is wanted"},
		"a range":        {answer("matrix", `[]`), 0, "gives a matrix where one number is wanted"},
		"a wrong query":  {`{"status":"error","errorType":"bad_data","error":"parse error"}`, 0, "parse error"},
		"something else": {`<html>`, 0, "Prometheus"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, http.StatusOK, c.body)
			got, err := open(t, s.URL, nil).Ask(t.Context(), "sum(orders)", time.Unix(100, 0))
			if c.says == "" && (err != nil || (got != c.want && !math.IsNaN(c.want))) {
				t.Errorf("%v, %v", got, err)
			}
			if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if s.queries[0] != "sum(orders)" {
				t.Error(s.queries)
			}
		})
	}
}

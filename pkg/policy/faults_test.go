package policy_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/meshpol/meshpol/pkg/policy"
)

const head = "apiVersion: meshpol.io/v1alpha1\n"

// spec is a document of one kind with its spec in line 4.
func spec(kind, text string) string { return doc(kind, "x", text) }

const retryWords = "wanted: one of Envoy's words (5xx, gateway-error, reset, reset-before-request, connect-failure, envoy-ratelimited, " +
	"retriable-4xx, refused-stream, cancelled, deadline-exceeded, internal, resource-exhausted, unavailable) or a status code from 400 to 599"

const allKinds = "allowed: Authorization, CircuitBreaker, FaultInjection, MutualTLS, RateLimit, Retry, Rollout, Timeout, TrafficShift"

func TestSyntaxFaults(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"not YAML":     {"a: b: c\n", "-:1: MP102: not YAML: mapping values are not allowed in this context"},
		"a tab":        {head + "kind: Timeout\nmetadata:\n\tname: x\n", "-:4: MP102: not YAML: found character that cannot start any token; the line is indented with a tab: use spaces"},
		"an open list": {"a: [1, 2\n", "-:1: MP102: not YAML: did not find expected ',' or ']'"},
		"an anchor and an alias": {spec("Timeout", "{target: &t {service: cart}, request: 1s}") + "---\na: *t\n",
			"-:4: MP103: the anchor &t is not allowed; write the value itself\n-:6: MP102: not YAML: unknown anchor 't' referenced"},
		"an alias bomb": {"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\napiVersion: v1\nkind: ConfigMap\n",
			"-:1: MP103: the anchor &a is not allowed; write the value itself\n-:2: MP103: the alias *a is not allowed; write the value itself\n" +
				"-:2: MP103: the alias *a is not allowed; write the value itself\n-:2: MP103: the anchor &b is not allowed; write the value itself\n" +
				"-:3: MP103: the alias *b is not allowed; write the value itself\n-:3: MP103: the alias *b is not allowed; write the value itself\n" +
				`-:4: MP105: apiVersion: ConfigMap of "v1" is not a document of meshpol; only meshpol.io/v1alpha1 is read: keep other documents in a directory of their own`},
		"a tag":                 {spec("Timeout", "{target: {service: !!str cart}, request: 1s}"), "-:4: MP103: the tag !!str is not allowed; write the value itself"},
		"not UTF-8":             {"a: 1\nb: \xff\n", "-:2: MP101: the file is not UTF-8; save it as UTF-8"},
		"UTF-16":                {"\xff\xfea\x00", "-:1: MP101: the file is not UTF-8; save it as UTF-8"},
		"nothing":               {"", "-: MP104: there is no document in the file; write a policy or a Rollout into it, or leave the file out"},
		"comments":              {"# one\n---\n# two\n---\n", "-: MP104: there is no document in the file; write a policy or a Rollout into it, or leave the file out"},
		"a list":                {"- a\n", "-:1: MP109: the document is a list, an object with apiVersion and kind is wanted"},
		"a text":                {"hello\n", "-:1: MP109: the document is the text \"hello\", an object with apiVersion and kind is wanted"},
		"no head":               {"a: 1\n", "-:1: MP105: apiVersion: is missing; write apiVersion: meshpol.io/v1alpha1\n-:1: MP106: kind: is missing; " + allKinds},
		"an older apiVersion":   {"apiVersion: meshpol.io/v1\nkind: Timeout\n", "-:1: MP105: apiVersion: is \"meshpol.io/v1\"; write meshpol.io/v1alpha1\n-:1: MP110: metadata: is required; add metadata:\n-:1: MP110: spec: is required; add spec:"},
		"a mesh's own object":   {"kind: VirtualService\napiVersion: networking.istio.io/v1\n", `-:2: MP105: apiVersion: VirtualService of "networking.istio.io/v1" is not a document of meshpol; only meshpol.io/v1alpha1 is read: keep other documents in a directory of their own`},
		"a misspelt kind":       {head + "kind: Timeuot\n", `-:2: MP106: kind: there is no kind "Timeuot"; did you mean Timeout? ` + allKinds},
		"a kind of no likeness": {head + "kind: Deployment\n", `-:2: MP106: kind: there is no kind "Deployment"; ` + allKinds},
		"two broken documents":  {"a: [1\n---\nb: {2\n", "-:1: MP102: not YAML: did not find expected ',' or ']'\n-:3: MP102: not YAML: did not find expected ',' or '}'"},
		"twice the same": {timeoutDoc + "---\n" + timeoutDoc,
			"-:14: MP114: metadata.name: Timeout/shop/cart-timeout is already in -:4; give one of them another name"},
		"twice the same, one by default": {timeoutDoc + "---\n" + strings.Replace(timeoutDoc, "  namespace: shop\n", "", 1),
			"-:14: MP114: metadata.name: Timeout/shop/cart-timeout is already in -:4; give one of them another name"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(c.text)
			if diff := cmp.Diff(c.want, faults(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFieldFaults(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"an unknown field": {spec("Timeout", "\n  target:\n    servce: cart\n  request: 1s"),
			`-:6: MP107: spec.target.servce: unknown field "servce"; did you mean service? allowed: gateway, host, namespace, port, routes, service, workload`},
		"a field of a later release": {spec("Rollout", "{strategy: {direct: {}}, gates: {}}"),
			`-:4: MP107: spec.gates: unknown field "gates"; it comes in a later release; remove it until then`},
		"a strange key": {spec("Timeout", `{target: {service: cart}, request: 1s, "a\nb": 1, [c]: 2}`),
			`-:4: MP107: spec."a\nb": unknown field "a\nb"; allowed: idle, request, target` + "\n" +
				`-:4: MP107: spec.?: unknown field "?"; allowed: idle, request, target`},
		"a key twice":         {spec("Timeout", "\n  target: {service: cart}\n  request: 1s\n  request: 2s"), "-:7: MP108: spec.request: the key is already in line 6; keep one of them"},
		"a label twice":       {spec("RateLimit", "\n  target: {workload: {labels: {app: a, app: b}}}\n  limit: {requests: 1, per: 1s}"), "-:5: MP108: spec.target.workload.labels[app]: the key is already in line 5; keep one of them"},
		"no value":            {spec("Timeout", "\n  target:\n  request: 1s"), "-:5: MP109: spec.target: has no value; write a value, {} for an empty object, or remove the line"},
		"a number for a text": {spec("Timeout", "{target: {service: 5}, request: 1s}"), `-:4: MP109: spec.target.service: is the number 5, a text is wanted; write "5" in quotes`},
		"a truth value for a text": {spec("RateLimit", "{target: {workload: {labels: {on: true}}}, limit: {requests: 1, per: 1s}}"),
			`-:4: MP109: spec.target.workload.labels[on]: is the truth value true, a text is wanted; write "true" in quotes`},
		"a number for a key":         {spec("RateLimit", "{target: {workload: {labels: {1: a}}}, limit: {requests: 1, per: 1s}}"), "-:4: MP109: spec.target.workload.labels[1]: the key is not a text; put it in quotes"},
		"a text for an object":       {spec("Timeout", "{target: cart, request: 1s}"), `-:4: MP109: spec.target: is the text "cart", an object with keys is wanted`},
		"a text for a list":          {spec("Retry", "{target: {service: cart}, attempts: 1, on: 5xx}"), `-:4: MP109: spec.on: is the text "5xx", a list is wanted; write [5xx]`},
		"a list for labels":          {spec("RateLimit", "{target: {workload: {labels: [a]}}, limit: {requests: 1, per: 1s}}"), "-:4: MP109: spec.target.workload.labels: is a list, an object of texts, such as {app: cart} is wanted"},
		"a text for a number":        {spec("Retry", `{target: {service: cart}, attempts: "2"}`), `-:4: MP109: spec.attempts: is the text "2", a whole number is wanted`},
		"a decimal":                  {spec("Retry", "{target: {service: cart}, attempts: 1.5}"), "-:4: MP109: spec.attempts: is the number 1.5, a whole number is wanted"},
		"too great a number":         {spec("CircuitBreaker", "{target: {service: cart}, maxConnections: 99999999999}"), "-:4: MP111: spec.maxConnections: is 99999999999; allowed: 1 to 2147483647"},
		"no number":                  {spec("Rollout", "{strategy: {direct: {}}, analysis: {falseRollback: .nan}}"), "-:4: MP109: spec.analysis.falseRollback: is the number .nan, a number is wanted"},
		"a duration with no unit":    {spec("Timeout", "{target: {service: cart}, request: 5}"), "-:4: MP109: spec.request: 5 is not a duration: write a number with a unit, such as 250ms, 1.5s or 5m"},
		"a negative duration":        {spec("Timeout", "{target: {service: cart}, request: -5s}"), `-:4: MP109: spec.request: "-5s" is not a duration: write a number with a unit, such as 250ms, 1.5s or 5m`},
		"an endless duration":        {spec("Timeout", "{target: {service: cart}, request: 99999999h}"), `-:4: MP109: spec.request: "99999999h" is not a duration: it is longer than 292 years`},
		"a list for a duration":      {spec("Timeout", "{target: {service: cart}, request: [1s]}"), "-:4: MP109: spec.request: is a list, a duration such as 250ms is wanted"},
		"too long a duration":        {spec("Timeout", "{target: {service: cart}, request: 25h}"), "-:4: MP111: spec.request: is 25h; allowed: 0s to 24h"},
		"not a percentage":           {spec("Rollout", "{strategy: {canary: {stepWeights: [1, half]}}}"), `-:4: MP109: spec.strategy.canary.stepWeights[1]: "half" is not a percentage: write a number such as 25, 2.5 or 25%`},
		"too great a percentage":     {spec("Rollout", "{strategy: {canary: {stepWeights: [101%]}}}"), "-:4: MP111: spec.strategy.canary.stepWeights[0]: is 101%; allowed: 0.1 to 100"},
		"an object for a percentage": {spec("Rollout", "{strategy: {canary: {stepWeights: [{}]}}}"), "-:4: MP109: spec.strategy.canary.stepWeights[0]: is an object, a percentage such as 2.5 is wanted"},
		"a word not in the list":     {spec("Rollout", "{strategy: {direct: {}}, onFailure: Rollback}"), `-:4: MP111: spec.onFailure: is "Rollback"; did you mean rollback? allowed: pause, rollback`},
		"a name in capitals":         {head + "kind: Timeout\nmetadata: {name: Cart}\nspec: {target: {service: cart}, request: 1s}\n", `-:3: MP111: metadata.name: is "Cart"; wanted: lower-case letters, digits and -, beginning and ending with a letter or digit, at most 63 characters`},
		"a false":                    {spec("MutualTLS", "{target: {namespace: false}, mode: strict}"), "-:4: MP111: spec.target.namespace: is false; write true or remove the line"},
		"a text for true":            {spec("MutualTLS", "{target: {namespace: shop}, mode: strict}"), `-:4: MP109: spec.target.namespace: is the text "shop", true is wanted`},
		"a missing field":            {spec("RateLimit", "\n  target: {service: cart}\n  limit: {requests: 5}"), "-:6: MP110: spec.limit.per: is required; add per:"},
		"a missing word":             {spec("Authorization", "{target: {service: cart}}"), "-:4: MP110: spec.action: is required; allowed: allow, deny"},
		"an empty list":              {spec("TrafficShift", "{target: {service: cart}, backends: []}"), "-:4: MP111: spec.backends: the list is empty; write at least 1, or remove the line"},
		"too long a list":            {spec("MutualTLS", "{target: {service: cart}, mode: strict, ports: ["+strings.Repeat("1,", 65)+"]}"), "-:4: MP111: spec.ports: the list has 65 items; at most 64 are allowed"},
		"no labels":                  {spec("RateLimit", "{target: {workload: {labels: {}}}, limit: {requests: 1, per: 1s}}"), "-:4: MP111: spec.target.workload.labels: the object is empty; write at least 1, or remove the line"},
		"labels that are none": {spec("RateLimit", "{target: {workload: {labels: {-a: b, c: d e}}}, limit: {requests: 1, per: 1s}}"),
			`-:4: MP111: spec.target.workload.labels[-a]: is "-a"; wanted: a label key: letters, digits, -, _ and ., with an optional prefix such as app.kubernetes.io/` + "\n" +
				`-:4: MP111: spec.target.workload.labels[c]: is "d e"; wanted: a label value: at most 63 letters, digits, -, _ and .`},
		"an unknown failure": {spec("Retry", "{target: {service: cart}, attempts: 1, on: [5xx, 503, 200, 6xx]}"),
			`-:4: MP111: spec.on[2]: is "200"; ` + retryWords + "\n" + `-:4: MP111: spec.on[3]: is "6xx"; ` + retryWords},
		"no address": {spec("Authorization", "{target: {service: a}, action: deny, rules: [{from: [{cidrs: [10.0.0.0/8, '::1', 10.0.0.0/99]}]}]}"),
			`-:4: MP111: spec.rules[0].from[0].cidrs[2]: is "10.0.0.0/99"; wanted: an address or a range of them, such as 10.0.0.0/8`},
		"an empty text": {spec("Rollout", `{strategy: {ab: {match: [{header: {name: x, value: ""}}]}}}`), "-:4: MP111: spec.strategy.ab.match[0].header.value: is empty; write a text"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(c.text)
			if diff := cmp.Diff(c.want, faults(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFileFaults(t *testing.T) {
	tree := files(map[string]string{
		"empty/notes.txt": "x", "empty/deep/a.yaml": timeoutDoc,
		"a.yaml": "a: [\n", "b.yaml": "kind: Timeuot\n" + head, "big.yaml": strings.Repeat("#", policy.MaxFileSize+1),
	})
	tree["locked.yaml"] = &fstest.MapFile{Mode: fs.ModeIrregular}
	cases := map[string]struct {
		paths []string
		want  string
	}{
		"no path":      {nil, "MP104: no file is given; name files, directories or - with -f"},
		"no such file": {[]string{"nowhere.yaml"}, "nowhere.yaml: MP101: reading: file does not exist; check the path"},
		"an empty directory": {[]string{"empty"},
			"empty: MP104: there is no policy file in the directory; its files must end in .yaml, .yml or .json; directories below it are read with -R"},
		"a huge file":       {[]string{"big.yaml"}, "big.yaml: MP101: the file is larger than 10 MiB; split it"},
		"no standard input": {[]string{"-"}, "-: MP101: standard input is closed; name files with -f"},
		"everything at once": {[]string{"nowhere.yaml", "b.yaml", "a.yaml"}, "a.yaml:1: MP102: not YAML: did not find expected node content\n" +
			`b.yaml:1: MP106: kind: there is no kind "Timeuot"; did you mean Timeout? ` + allKinds + "\n" +
			"nowhere.yaml: MP101: reading: file does not exist; check the path"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := policy.Load(policy.LoadOptions{Paths: c.paths, Files: tree})
			if diff := cmp.Diff(c.want, faults(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFaultsHaveAnEnd(t *testing.T) {
	for name, text := range map[string]string{
		"in one document":   spec("Retry", "{target: {service: a}, attempts: 1, on: ["+strings.Repeat("x,", 100_000)+"]}"),
		"in many documents": strings.Repeat("---\na: 1\n", 10_000),
		"of one key":        spec("RateLimit", "{target: {workload: {labels: {"+strings.Repeat("a,", 100_000)+"}}}}"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(text)
			if got := strings.Count(faults(t, err), "\n") + 1; got != 1001 {
				t.Errorf("%d faults", got)
			}
			if !strings.Contains(err.Error(), "MP101: 1000 faults or more: the rest of the file is not read; mend these first") {
				t.Error("the end is not told")
			}
		})
	}
}

package manifest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

func TestManifestsAreYAML(t *testing.T) {
	for name, render := range map[string]func() ([]byte, error){
		"base": Base, "prometheus": Prometheus, "telemetry": Telemetry, "shop": Shop,
		"prometheus config": func() ([]byte, error) { return PrometheusConfig(5 * time.Second) },
	} {
		text, err := render()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var v any
			if err := yaml.UnmarshalStrict(doc, &v); err != nil {
				t.Errorf("%s: %v in\n%s", name, err, doc)
			}
		}
	}
}

func TestShopHasTheCallersAndBothVersions(t *testing.T) {
	text, err := Shop()
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]int{
		"kind: Deployment": 6, "kind: Service\n": 5, "kind: ServiceAccount\n": 5, "name: istio-proxy": 6,
		"{name: grpc, port: 9000}": 1, `--grpc, ":9000"]`: 1,
		"--next, http://cart]": 2, "--next, http://user-service]": 1, "version: v2": 3,
	} {
		if got := strings.Count(string(text), what); got != want {
			t.Errorf("%q stands %d times in the shop, want %d", what, got, want)
		}
	}
}

func TestPrometheusReadsAsOftenAsAsked(t *testing.T) {
	text, err := PrometheusConfig(1500 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "scrape_interval: 1500ms") {
		t.Errorf("the interval is not in\n%.80s", text)
	}
}

func TestTelemetryNamesProvidersOfTheMesh(t *testing.T) {
	base, err := Base()
	if err != nil {
		t.Fatal(err)
	}
	telemetry, err := Telemetry()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"referee", "istio-stats-source", "istio-stats-destination"} {
		if !strings.Contains(string(base), "- name: "+name+"\n") || !strings.Contains(string(telemetry), "{name: "+name+"}") {
			t.Errorf("provider %s is not in both the mesh's configuration and the Telemetry object", name)
		}
	}
	for _, text := range []string{"service: istio-system/access-log.meshpol.lab", "port: 15092"} {
		if n := strings.Count(string(base), text); n != 2 {
			t.Errorf("%q stands %d times in the mesh's configuration, want 2", text, n)
		}
	}
	if !strings.Contains(string(telemetry), "number: 15092") {
		t.Error("the service of the access logs has another port")
	}
}

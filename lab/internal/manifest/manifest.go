// Package manifest holds the objects that a lab starts with: Istio's control plane, Prometheus, and the
// sample system "shop".
package manifest

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"
	"time"
)

//go:embed files
var files embed.FS

// Base is everything that must exist before pods are made: Istio's control plane and how its sidecars get into pods.
func Base() ([]byte, error) { return render("base.yaml", nil) }

// Prometheus is the metrics store's Deployment and Service.
func Prometheus() ([]byte, error) { return render("prometheus.yaml", nil) }

// Telemetry is what the proxies log of requests; istiod must run to take it.
func Telemetry() ([]byte, error) { return render("telemetry.yaml", nil) }

// PrometheusConfig is Prometheus' own configuration file.
func PrometheusConfig(scrape time.Duration) ([]byte, error) {
	interval := fmt.Sprintf("%dms", scrape.Milliseconds()) // Prometheus does not read 1.5s
	return render("prometheus-config.yml", struct{ ScrapeInterval string }{interval})
}

// Workload is one Deployment of the sample system.
type Workload struct {
	Name, App, Version string
	// Next is the URL that the workload calls for each request it gets.
	Next string
	// GRPC says that the workload's service is a gRPC one, on port 9000.
	GRPC bool
}

// Workloads lists the sample system's Deployments, callers first.
func Workloads() []Workload {
	return []Workload{
		{Name: "web", App: "web", Version: "v1", Next: "http://cart"},
		{Name: "mobile", App: "mobile", Version: "v1", Next: "http://cart"},
		{Name: "cart", App: "cart", Version: "v1", Next: "http://user-service"},
		{Name: "user-service-v1", App: "user-service", Version: "v1"},
		{Name: "user-service-v2", App: "user-service", Version: "v2"},
		{Name: "stock", App: "stock", Version: "v1", GRPC: true},
	}
}

// Shop is the sample system.
func Shop() ([]byte, error) {
	workloads := Workloads()
	var services []Workload // the first of every app
	for _, w := range workloads {
		if len(services) == 0 || services[len(services)-1].App != w.App {
			services = append(services, w)
		}
	}
	return render("shop.yaml", struct {
		Services  []Workload
		Workloads []Workload
	}{services, workloads})
}

func render(name string, data any) ([]byte, error) {
	t, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return nil, fmt.Errorf("reading manifest %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("writing manifest %s: %w", name, err)
	}
	return out.Bytes(), nil
}

package istiostats

import (
	"fmt"
	"net"
	"sync/atomic"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// namespace begins the raw name of every metric of Istio's filter in Envoy.
const namespace = "istiocustom"

// Proxy counts the requests of one pod's proxy.
type Proxy struct {
	self      Workload
	address   string
	directory Directory
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	server    *grpc.Server
	counted   atomic.Uint64
}

// New returns the counters of the proxy of a pod; the address is the pod's.
func New(self Workload, address string, d Directory) *Proxy {
	p := &Proxy{
		self: self, address: address, directory: d, registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "istio_requests_total", Help: "Requests, as Istio's stats filter counts them.",
		}, labelNames()),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "istio_request_duration_milliseconds", Help: "Duration of requests in milliseconds.", Buckets: bounds(),
		}, labelNames()),
		server: grpc.NewServer(),
	}
	p.registry.MustRegister(p.requests, p.duration)
	service.RegisterAccessLogServiceServer(p.server, receiver{proxy: p})
	return p
}

// bounds are those of Envoy's histograms, in milliseconds.
func bounds() []float64 {
	return []float64{
		0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
	}
}

// Serve takes the proxy's logs until Close.
func (p *Proxy) Serve(l net.Listener) error {
	if err := p.server.Serve(l); err != nil {
		return fmt.Errorf("taking the access log of %s: %w", p.address, err)
	}
	return nil
}

// Close ends Serve. What was counted stays readable.
func (p *Proxy) Close() { p.server.Stop() }

// Counted is the number of requests so far, on both sides.
func (p *Proxy) Counted() uint64 { return p.counted.Load() }

func (p *Proxy) count(reporter Reporter, entry *accesslog.HTTPAccessLogEntry) {
	r := request{reporter: reporter, self: p.self, address: p.address, entry: entry}
	if !r.whole() {
		return
	}
	values := r.labels(p.directory).values()
	p.requests.WithLabelValues(values...).Inc()
	p.counted.Add(1)
	if ms, ok := r.milliseconds(); ok {
		p.duration.WithLabelValues(values...).Observe(float64(ms))
	}
}

// receiver is Envoy's access-log service.
type receiver struct {
	service.UnimplementedAccessLogServiceServer
	proxy *Proxy
}

// StreamAccessLogs takes one stream of a proxy; its first message says which log it is.
func (r receiver) StreamAccessLogs(stream service.AccessLogService_StreamAccessLogsServer) error {
	reporter := Source
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		if id := message.GetIdentifier(); id != nil {
			reporter = Reporter(id.GetLogName())
		}
		for _, entry := range message.GetHttpLogs().GetLogEntry() {
			r.proxy.count(reporter, entry)
		}
	}
}

package istiostats

import (
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslog "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// shop is a directory of one client pod and one server pod.
type shop struct{}

func web() Workload {
	w := NewWorkload("web", "shop", map[string]string{"app": "web", "version": "v1"})
	w.Cluster, w.Principal = "Kubernetes", "spiffe://cluster.local/ns/shop/sa/web"
	return w
}

func cart() Workload {
	w := NewWorkload("cart", "shop", map[string]string{"app": "cart", "version": "v2", "security.istio.io/tlsMode": "istio"})
	w.Cluster, w.Principal = "Kubernetes", "spiffe://cluster.local/ns/shop/sa/cart"
	return w
}

func (shop) Workload(address string) (Workload, bool) {
	w, ok := map[string]Workload{"10.244.1.1": web(), "10.244.1.2": cart()}[address]
	return w, ok
}

func (shop) Service(address, port string) (string, bool) {
	return "cart.shop.svc.cluster.local", address == "10.244.1.2" && port == "8080"
}

func (shop) Host(namespace, host string) (string, bool) {
	return "cart.shop.svc.cluster.local", namespace == "shop" && strings.HasPrefix(host, "cart")
}

// entry is what a client's proxy logs of a good request to cart.
func entry(change ...func(*accesslog.HTTPAccessLogEntry)) *accesslog.HTTPAccessLogEntry {
	e := &accesslog.HTTPAccessLogEntry{
		CommonProperties: &accesslog.AccessLogCommon{
			RouteName: "default", UpstreamCluster: "outbound|80||cart.shop.svc.cluster.local",
			UpstreamRemoteAddress: socket("10.244.1.2"), DownstreamDirectRemoteAddress: socket("10.244.1.1"),
			Duration: durationpb.New(12_900 * time.Microsecond),
		},
		Request:  &accesslog.HTTPRequestProperties{Authority: "cart"},
		Response: &accesslog.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
	}
	for _, f := range change {
		f(e)
	}
	return e
}

func socket(ip string) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{Address: ip}}}
}

func labelsOf(reporter Reporter, self Workload, address string, e *accesslog.HTTPAccessLogEntry) map[string]string {
	values := request{reporter: reporter, self: self, address: address, entry: e}.labels(shop{}).values()
	out := map[string]string{}
	for i, name := range labelNames() {
		out[name] = values[i]
	}
	return out
}

func want(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

func TestTheSenderKnowsItsPeerByTheAddressThatItChose(t *testing.T) {
	want(t, labelsOf(Source, web(), "10.244.1.1", entry()), map[string]string{
		"reporter": "source", "source_workload": "web", "source_workload_namespace": "shop", "source_app": "web",
		"source_version": "v1", "source_canonical_service": "web", "source_canonical_revision": "v1",
		"source_cluster": "Kubernetes", "source_principal": "spiffe://cluster.local/ns/shop/sa/web",
		"destination_workload": "cart", "destination_workload_namespace": "shop", "destination_app": "cart",
		"destination_version": "v2", "destination_canonical_service": "cart", "destination_canonical_revision": "v2",
		"destination_cluster": "Kubernetes", "destination_principal": "spiffe://cluster.local/ns/shop/sa/cart",
		"destination_service": "cart.shop.svc.cluster.local", "destination_service_name": "cart",
		"destination_service_namespace": "shop", "request_protocol": "http", "response_code": "200",
		"grpc_response_status": "", "response_flags": "-", "connection_security_policy": "unknown", "meshpol_cohort": "none",
	})
}

func TestTheReceiverKnowsWhatTheCertificatesSay(t *testing.T) {
	received := entry(func(e *accesslog.HTTPAccessLogEntry) {
		c := e.GetCommonProperties()
		c.UpstreamCluster, c.UpstreamRemoteAddress = "inbound|8080||", socket("127.0.0.6")
		c.TlsProperties = &accesslog.TLSProperties{
			PeerCertificateProperties:  uri("spiffe://cluster.local/ns/shop/sa/web"),
			LocalCertificateProperties: uri("spiffe://cluster.local/ns/shop/sa/cart"),
		}
	})
	want(t, labelsOf(Destination, cart(), "10.244.1.2", received), map[string]string{
		"reporter": "destination", "source_workload": "web", "source_principal": "spiffe://cluster.local/ns/shop/sa/web",
		"destination_workload": "cart", "destination_principal": "spiffe://cluster.local/ns/shop/sa/cart",
		"destination_service": "cart.shop.svc.cluster.local", "destination_service_name": "cart",
		"destination_service_namespace": "shop", "connection_security_policy": "mutual_tls", "meshpol_cohort": "",
	})
	refused := proto.CloneOf(received)
	refused.CommonProperties.UpstreamCluster = ""
	refused.CommonProperties.DownstreamLocalAddress = socket("10.244.1.2")
	refused.CommonProperties.DownstreamLocalAddress.GetSocketAddress().PortSpecifier = &core.SocketAddress_PortValue{PortValue: 8080}
	want(t, labelsOf(Destination, cart(), "10.244.1.2", refused), map[string]string{
		"destination_service": "cart.shop.svc.cluster.local", "destination_service_name": "cart",
	})
	plain := proto.CloneOf(received)
	plain.CommonProperties.TlsProperties, plain.CommonProperties.DownstreamDirectRemoteAddress = nil, socket("192.0.2.1")
	want(t, labelsOf(Destination, cart(), "10.244.1.2", plain), map[string]string{
		"source_workload": "unknown", "source_workload_namespace": "unknown", "source_principal": "unknown",
		"source_canonical_revision": "latest", "destination_principal": "unknown", "connection_security_policy": "none",
	})
}

func uri(name string) *accesslog.TLSProperties_CertificateProperties {
	return &accesslog.TLSProperties_CertificateProperties{
		SubjectAltName: []*accesslog.TLSProperties_CertificateProperties_SubjectAltName{{
			San: &accesslog.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: name},
		}},
	}
}

func TestRequestsThatTheProxyAnswersItself(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*accesslog.HTTPAccessLogEntry)
		want   map[string]string
	}{
		"a fault is injected before a peer is chosen": {
			func(e *accesslog.HTTPAccessLogEntry) {
				e.CommonProperties.UpstreamRemoteAddress, e.CommonProperties.UpstreamCluster = nil, ""
				e.CommonProperties.ResponseFlags = &accesslog.ResponseFlags{FaultInjected: true}
				e.Response.ResponseCode.Value = 503
			},
			map[string]string{"response_flags": "FI", "response_code": "503", "destination_workload": "unknown",
				"destination_service": "cart.shop.svc.cluster.local", "destination_service_name": "cart",
				"destination_service_namespace": "unknown", "source_principal": "unknown", "destination_canonical_revision": "latest"},
		},
		"there is no route": {
			func(e *accesslog.HTTPAccessLogEntry) {
				e.CommonProperties.UpstreamCluster, e.CommonProperties.UpstreamRemoteAddress = "", nil
				e.CommonProperties.ResponseFlags = &accesslog.ResponseFlags{NoRouteFound: true}
			},
			map[string]string{"response_flags": "NR", "destination_service": "cart", "destination_service_name": "cart"},
		},
		"the route itself is the answer": {
			func(e *accesslog.HTTPAccessLogEntry) {
				e.CommonProperties.UpstreamCluster, e.CommonProperties.UpstreamRemoteAddress = "", nil
				e.Response.ResponseCodeDetails = "direct_response"
			},
			map[string]string{"response_flags": "-", "destination_service": "cart", "destination_service_name": "cart"},
		},
		"the client has gone": {
			func(e *accesslog.HTTPAccessLogEntry) {
				e.CommonProperties.ResponseFlags = &accesslog.ResponseFlags{DownstreamConnectionTermination: true}
				e.Response.ResponseCode = nil
			},
			map[string]string{"response_flags": "DC", "response_code": "0", "destination_workload": "cart"},
		},
		"outside the mesh": {
			func(e *accesslog.HTTPAccessLogEntry) {
				e.CommonProperties.RouteName, e.CommonProperties.UpstreamCluster = "allow_any", "PassthroughCluster"
				e.CommonProperties.UpstreamRemoteAddress, e.Request.Authority = socket("192.0.2.1"), "example.org"
			},
			map[string]string{"destination_service": "example.org", "destination_service_name": "PassthroughCluster"},
		},
		"two flags": {
			func(e *accesslog.HTTPAccessLogEntry) {
				e.CommonProperties.ResponseFlags = &accesslog.ResponseFlags{UpstreamRetryLimitExceeded: true, UpstreamConnectionFailure: true}
			},
			map[string]string{"response_flags": "UF,URX"},
		},
	} {
		t.Run(name, func(t *testing.T) { want(t, labelsOf(Source, web(), "10.244.1.1", entry(tc.change)), tc.want) })
	}
}

func TestCohortIsThatOfTheRoute(t *testing.T) {
	for route, cohort := range map[string]string{
		"mp-new-r9-0-w0a1-0029": "new", "mp-new-r9-12-s000-0800": "half", "mp-new-r9-0-q": "half", "mp-new-r9-0-n1a2b3c4d": "half",
		"mp-new-r9-0-p": "new", "mp-new-5r9-0-m1a2b3c4d": "new",
		"mp-old-r9-1": "old", "mp-fold-r9": "none", "default": "none", "": "none", "my-mp-new-route": "none",
	} {
		got := labelsOf(Source, web(), "", entry(func(e *accesslog.HTTPAccessLogEntry) { e.CommonProperties.RouteName = route }))
		if got["meshpol_cohort"] != cohort {
			t.Errorf("route %q is in cohort %q, want %q", route, got["meshpol_cohort"], cohort)
		}
	}
}

func TestGRPCStatusIsThatOfTrailersThenHeadersThenTheCode(t *testing.T) {
	type answer struct {
		trailer, header string
		code            uint32
	}
	for in, status := range map[answer]string{
		{trailer: "0", code: 200}:               "0",
		{trailer: "5", header: "0", code: 200}:  "5",
		{header: "14", code: 200}:               "14",
		{code: 503}:                             "14",
		{code: 403}:                             "7",
		{code: 404}:                             "12",
		{code: 401}:                             "16",
		{code: 400}:                             "13",
		{code: 200}:                             "2",
		{}:                                      "",
		{trailer: "13", header: "", code: 1000}: "13",
	} {
		got := labelsOf(Source, web(), "", entry(func(e *accesslog.HTTPAccessLogEntry) {
			e.Request.RequestHeaders = map[string]string{"content-type": "application/grpc"}
			e.Response = &accesslog.HTTPResponseProperties{ResponseHeaders: map[string]string{}, ResponseTrailers: map[string]string{}}
			if in.code != 0 {
				e.Response.ResponseCode = wrapperspb.UInt32(in.code)
			}
			e.Response.ResponseHeaders["grpc-status"], e.Response.ResponseTrailers["grpc-status"] = in.header, in.trailer
		}))
		if got["request_protocol"] != "grpc" || got["grpc_response_status"] != status {
			t.Errorf("%+v is %s %q, want grpc %q", in, got["request_protocol"], got["grpc_response_status"], status)
		}
	}
}

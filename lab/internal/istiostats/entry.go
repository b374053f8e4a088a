package istiostats

import (
	"cmp"
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslog "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/grpc/codes"
)

// Headers that the proxies must be told to log.
const (
	contentType = "content-type"
	grpcStatus  = "grpc-status"
)

// directResponse is what Envoy says of an answer that the route itself holds.
const directResponse = "direct_response"

// request is one log entry of a proxy, with who wrote it.
type request struct {
	reporter Reporter
	self     Workload
	address  string
	entry    *accesslog.HTTPAccessLogEntry
}

func (r request) common() *accesslog.AccessLogCommon { return r.entry.GetCommonProperties() }

// labels are what Istio's filter in that proxy would say of the request.
func (r request) labels(d Directory) labels {
	out := labels{
		reporter: r.reporter, protocol: "http", tls: unknown,
		code:  strconv.Itoa(int(r.entry.GetResponse().GetResponseCode().GetValue())),
		flags: flagText(r.common().GetResponseFlags()),
	}
	if r.grpc() {
		out.protocol, out.grpcStatus = "grpc", r.grpcStatus()
	}
	host := r.entry.GetRequest().GetAuthority()
	out.service, out.serviceName = r.service(d, host)
	if r.reporter == Destination {
		r.received(&out, d)
	} else {
		r.sent(&out, d)
	}
	return out
}

// sent fills in what the sender's proxy knows. It learns of its peer when it has chosen one: requests that it answers
// itself have an unknown destination, but for the service.
func (r request) sent(out *labels, d Directory) {
	out.cohort = cohort(r.common().GetRouteName())
	peer, _ := d.Workload(ip(r.common().GetUpstreamRemoteAddress()))
	mine, theirs := "", ""
	if peer.TLS { // the log does not say what the connection to the peer was like; this is what Istio does by itself
		mine, theirs = r.self.Principal, peer.Principal
	}
	out.source, out.destination = r.self.side(mine), peer.side(theirs)
	out.service, out.serviceName = cmp.Or(out.service, unknown), cmp.Or(out.serviceName, unknown)
	out.serviceNamespace = cmp.Or(peer.Namespace, unknown)
}

// received fills in what the receiver's proxy knows.
func (r request) received(out *labels, d Directory) {
	peer, _ := d.Workload(ip(r.common().GetDownstreamDirectRemoteAddress()))
	tls := r.common().GetTlsProperties()
	theirs, mine := identity(tls.GetPeerCertificateProperties()), identity(tls.GetLocalCertificateProperties())
	out.tls = "none"
	if theirs != "" && mine != "" {
		out.tls = "mutual_tls"
	}
	out.source, out.destination = peer.side(theirs), r.self.side(mine)
	out.service = cmp.Or(out.service, r.self.CanonicalService)
	out.serviceName = cmp.Or(out.serviceName, r.self.CanonicalService)
	out.serviceNamespace = r.self.Namespace
}

// service is the host and the name of the service that a request was for: that of the cluster that the route names, else
// the host that the client wrote.
func (r request) service(d Directory, host string) (full, name string) {
	switch r.common().GetRouteName() {
	case "block_all":
		return host, "BlackHoleCluster"
	case "allow_any":
		return host, "PassthroughCluster"
	}
	cluster := r.common().GetUpstreamCluster()
	part := strings.Split(cluster, "|") // direction|port|subset|host
	switch {
	case cluster == "" && r.routed():
		if full, ok := r.intended(d, host); ok {
			return full, shortName(full)
		}
	case len(part) == 4 && part[0] == "outbound":
		return part[3], shortName(part[3])
	case len(part) == 4 && part[0] == "inbound":
		if full, ok := d.Service(r.address, part[1]); ok {
			return full, shortName(full)
		}
	case strings.HasSuffix(cluster, "Cluster"), strings.HasPrefix(cluster, "InboundPassthroughCluster"):
		return host, cluster
	}
	return host, host
}

// routed tells whether the request had a route to a cluster. The log names the cluster of a route only together with the
// peer, so that this has to be known by other signs.
func (r request) routed() bool {
	flags := r.common().GetResponseFlags()
	return !flags.GetNoRouteFound() && !flags.GetNoClusterFound() &&
		r.entry.GetResponse().GetResponseCodeDetails() != directResponse
}

// intended is the service that a request was for that did not get as far as a peer: that of the port that received it, or
// of the host that the client wrote. That a route leads elsewhere is not seen.
func (r request) intended(d Directory, host string) (string, bool) {
	if r.reporter == Destination {
		port := r.common().GetDownstreamLocalAddress().GetSocketAddress().GetPortValue()
		return d.Service(r.address, strconv.Itoa(int(port)))
	}
	return d.Host(r.self.Namespace, host)
}

// shortName is a service's own name; hosts that are no services of Kubernetes are called by their whole name.
func shortName(host string) string {
	name, rest, _ := strings.Cut(host, ".")
	if _, kind, _ := strings.Cut(rest, "."); strings.HasPrefix(kind, "svc.") {
		return name
	}
	return host
}

func (r request) grpc() bool {
	kind := r.entry.GetRequest().GetRequestHeaders()[contentType]
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+")
}

// grpcStatus is the status of the trailers, else of the headers, else what the HTTP status stands for; empty when there
// was no answer at all.
func (r request) grpcStatus() string {
	answer := r.entry.GetResponse()
	if status := cmp.Or(answer.GetResponseTrailers()[grpcStatus], answer.GetResponseHeaders()[grpcStatus]); status != "" {
		return status
	}
	if answer.GetResponseCode().GetValue() == 0 {
		return ""
	}
	return strconv.Itoa(int(statusOf(answer.GetResponseCode().GetValue())))
}

// statusOf is gRPC's own mapping for answers that have an HTTP status alone.
func statusOf(http uint32) codes.Code {
	switch http {
	case 400:
		return codes.Internal
	case 401:
		return codes.Unauthenticated
	case 403:
		return codes.PermissionDenied
	case 404:
		return codes.Unimplemented
	case 429, 502, 503, 504:
		return codes.Unavailable
	default:
		return codes.Unknown
	}
}

// milliseconds is how long the request took; false when it did not come to an end.
func (r request) milliseconds() (int64, bool) {
	took := r.common().GetDuration()
	if took == nil {
		took = r.common().GetTimeToLastDownstreamTxByte()
	}
	return took.AsDuration().Milliseconds(), took != nil
}

// whole tells an entry about a finished request from one about a request that goes on.
func (r request) whole() bool { return !r.common().GetIntermediateLogEntry() }

func ip(a *core.Address) string { return a.GetSocketAddress().GetAddress() }

// identity is the first URI in a certificate.
func identity(c *accesslog.TLSProperties_CertificateProperties) string {
	for _, name := range c.GetSubjectAltName() {
		if uri := name.GetUri(); uri != "" {
			return uri
		}
	}
	return ""
}

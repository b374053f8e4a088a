package istiostats

import (
	"regexp"
	"strings"
)

// Reporter says which side of a request a proxy is on.
type Reporter string

// The reporters. They are also the names that the proxies' logs must have.
const (
	// Source is the proxy of the pod that sends the request, or a gateway.
	Source Reporter = "source"
	// Destination is the proxy of the pod that receives it.
	Destination Reporter = "destination"
)

// unknown stands for every value that a proxy does not know; latest for a revision.
const (
	unknown = "unknown"
	latest  = "latest"
)

// newRoute begins the name of every route that meshpol makes for the requests of a rollout's new side, oldRoute of those
// that it makes for the old side, where only a part of a route is rolled out.
const (
	newRoute = "mp-new-"
	oldRoute = "mp-old-"
)

// halfRoute matches the routes of step 0, where the new side still has the old policy: docs/metrics.md has the same
// expression for Istio.
var halfRoute = regexp.MustCompile("^mp-new-[^-]+-[0-9]+-[sqn]")

// side is what the labels say of one end of a request.
type side struct {
	workload, namespace, principal, app, version, service, revision, cluster string
}

// labels are those of both metrics.
type labels struct {
	reporter                                       Reporter
	source, destination                            side
	service, serviceName, serviceNamespace         string
	protocol, code, grpcStatus, flags, tls, cohort string
}

// labelNames are the names in the order of [labels.values].
func labelNames() []string {
	return []string{
		"reporter",
		"source_workload", "source_workload_namespace", "source_principal", "source_app", "source_version",
		"source_canonical_service", "source_canonical_revision", "source_cluster",
		"destination_workload", "destination_workload_namespace", "destination_principal", "destination_app",
		"destination_version", "destination_canonical_service", "destination_canonical_revision", "destination_cluster",
		"destination_service", "destination_service_name", "destination_service_namespace",
		"request_protocol", "response_code", "grpc_response_status", "response_flags", "connection_security_policy",
		"meshpol_cohort",
	}
}

func (l labels) values() []string {
	s, d := l.source, l.destination
	return []string{
		string(l.reporter),
		s.workload, s.namespace, s.principal, s.app, s.version, s.service, s.revision, s.cluster,
		d.workload, d.namespace, d.principal, d.app, d.version, d.service, d.revision, d.cluster,
		l.service, l.serviceName, l.serviceNamespace,
		l.protocol, l.code, l.grpcStatus, l.flags, l.tls, l.cohort,
	}
}

// cohort is the side of a rollout that a route belongs to.
func cohort(route string) string {
	switch {
	case halfRoute.MatchString(route):
		return "half"
	case strings.HasPrefix(route, newRoute):
		return "new"
	case strings.HasPrefix(route, oldRoute):
		return "old"
	default:
		return "none"
	}
}

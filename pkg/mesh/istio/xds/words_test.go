package xds

import (
	"strings"
	"testing"
)

// As Envoy 1.40 wrote them in the lab, the configuration shortened.
const (
	refusedDump  = "goo.gle/debugonly    \nname: \"80\"\nvirtual_hosts {\n  name: \"cart.shop.svc.cluster.local:80\"\n"
	refusedCause = ": Proto constraint validation failed (RouteConfigurationValidationError.VirtualHosts[0]: embedded message failed validation | caused by VirtualHostValidationError.Routes[0]: embedded message failed validation | caused by HeaderValidationError.HeaderName: value length must be at least 1 characters): goo.gle/debugstr  \nname: \"80\"\n"
)

func TestWordsOfARefusal(t *testing.T) {
	for message, want := range map[string]string{
		"Only a single wildcard domain is permitted in route 80": "Only a single wildcard domain is permitted in route 80",
		"Error adding/updating cluster(s) x: bad\nmore":          "Error adding/updating cluster(s) x: bad",
		refusedDump + refusedCause:                               "Proto constraint validation failed: HeaderValidationError.HeaderName: value length must be at least 1 characters",
		refusedCause[2:]:                                         "Proto constraint validation failed: HeaderValidationError.HeaderName: value length must be at least 1 characters",
		refusedDump:                                              "the configuration is not valid (the reason is cut off; it is in: kubectl logs -n shop web-1 -c istio-proxy | grep constraint)",
		refusedDump + ": something else is wrong":                "something else is wrong",
		"goo.gle/debugstr name: \"80\" : Proto constraint validation failed (x)": "Proto constraint validation failed (x)",
	} {
		if got := words("shop/web-1", message); got != want || strings.Contains(got, "\n") {
			t.Errorf("%q:\n got %q\nwant %q", message, got, want)
		}
	}
}

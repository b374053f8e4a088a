package v1alpha1

// Format is a text that the tags of this package name.
type Format struct {
	// Pattern is a regular expression that the whole text matches, in the dialect that Go and ECMA 262 share.
	Pattern string
	// MaxLength is the greatest number of characters; 0 = no limit.
	MaxLength int
	// Says tells a person what is wanted.
	Says string
}

// DNS label and the characters of names that are made of them.
const dnsLabel = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`

// Formats lists every format that a tag names. The labels format is for each key and value of a map, not in here.
func Formats() map[string]Format {
	return map[string]Format{
		"dns-label": {`^` + dnsLabel + `$`, 63,
			"lower-case letters, digits and -, beginning and ending with a letter or digit, at most 63 characters"},
		"service-account": {`^(` + dnsLabel + `/)?` + dnsLabel + `(\.` + dnsLabel + `)*$`, 317,
			`"name" or "namespace/name" of a service account`},
		"gateway": {`^(` + dnsLabel + `/)?` + dnsLabel + `(\.` + dnsLabel + `)*$`, 317,
			`"name" or "namespace/name" of a Gateway`},
		"host": {`^(\*\.)?` + dnsLabel + `(\.` + dnsLabel + `)*$`, 253,
			"a host name in lower case without scheme and port, such as api.example.com or *.example.com"},
		"route-name": {`^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$`, 253,
			"letters, digits, -, _ and ., beginning and ending with a letter or digit"},
		"path": {`^/[^?#*\s]*\*?$`, 1024,
			"an exact path that begins with / (/checkout), or a prefix where it ends in * (/api/*)"},
		"method":      {`^(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH)$`, 0, "an HTTP method in capitals, such as GET"},
		"header":      {`^[-A-Za-z0-9!#$%&'*+.^_|~]+$`, 256, "a name of letters, digits and -"},
		"cidr":        {`^[0-9a-fA-F.:]+(/[0-9]{1,3})?$`, 49, "an address or a range of them, such as 10.0.0.0/8"},
		"retry-on":    {retryOn, 0, "one of Envoy's words (5xx, gateway-error, reset, reset-before-request, connect-failure, envoy-ratelimited, retriable-4xx, refused-stream, cancelled, deadline-exceeded, internal, resource-exhausted, unavailable) or a status code from 400 to 599"},
		"grpc-status": {grpcStatus, 0, "the name of a gRPC status in capitals, such as UNAVAILABLE"},
	}
}

const (
	retryOn = `^(5xx|gateway-error|reset|reset-before-request|connect-failure|envoy-ratelimited|retriable-4xx|` +
		`refused-stream|cancelled|deadline-exceeded|internal|resource-exhausted|unavailable|[45][0-9][0-9])$`
	grpcStatus = `^(CANCELLED|UNKNOWN|INVALID_ARGUMENT|DEADLINE_EXCEEDED|NOT_FOUND|ALREADY_EXISTS|PERMISSION_DENIED|` +
		`RESOURCE_EXHAUSTED|FAILED_PRECONDITION|ABORTED|OUT_OF_RANGE|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS|` +
		`UNAUTHENTICATED)$`
)

// LabelKey is the format of a label's key.
func LabelKey() Format {
	return Format{`^(` + dnsLabel + `(\.` + dnsLabel + `)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`, 317,
		"a label key: letters, digits, -, _ and ., with an optional prefix such as app.kubernetes.io/"}
}

// LabelValue is the format of a label's value.
func LabelValue() Format {
	return Format{`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`, 63,
		"a label value: at most 63 letters, digits, -, _ and ."}
}

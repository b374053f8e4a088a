package xds

import (
	"fmt"
	"regexp"
	"strings"
)

// dumped is how protobuf begins a message that it repeats in an error; the word varies on purpose.
var dumped = regexp.MustCompile(`^goo\.gle/debug\w+\s*`)

// reason is the sentence that Envoy puts before or behind the repeated configuration.
var reason = regexp.MustCompile(`(?m)^: (.+)$|(Proto constraint validation failed .+)`)

// why is the innermost cause of a validation error, which Envoy wraps once per level of the configuration.
var why = regexp.MustCompile(`^(Proto constraint validation failed) \(.*\| caused by (.+?)\)?:?\s*(?:goo\.gle/debug\w+.*)?$`)

// words is what Envoy says of a configuration that it refused, in one line. A validation error repeats the whole
// configuration first and gives its reason behind it; Envoy cuts such a message off after some thousand bytes, so that
// the reason may be missing. Then it is only in the proxy's own log.
func words(proxy, message string) string {
	line, _, _ := strings.Cut(message, "\n")
	if dumped.MatchString(message) {
		found := reason.FindStringSubmatch(message)
		if found == nil {
			namespace, pod, _ := strings.Cut(proxy, "/")
			return fmt.Sprintf("the configuration is not valid (the reason is cut off; it is in: kubectl logs -n %s %s -c istio-proxy | grep constraint)", namespace, pod)
		}
		line = found[1] + found[2]
	}
	if inner := why.FindStringSubmatch(line); inner != nil {
		return inner[1] + ": " + inner[2]
	}
	return strings.TrimSpace(line)
}

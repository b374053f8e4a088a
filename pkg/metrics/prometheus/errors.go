package prometheus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// Kind says what kept Prometheus from answering. Callers branch on it: only some kinds are worth another try.
type Kind string

// The kinds of errors.
const (
	Unreachable   Kind = "unreachable"    // no connection: wrong address, network, nothing listens
	TLS           Kind = "tls"            // the connection is there, the certificate is not to be trusted
	NoCredentials Kind = "no credentials" // 401
	Forbidden     Kind = "forbidden"      // 403
	BadQuery      Kind = "bad query"      // Prometheus does not understand or refuses the query
	TooLarge      Kind = "too large"      // the answer is larger than Options.MaxBytes
	Timeout       Kind = "timeout"        // no answer in time
	Server        Kind = "server"         // 5xx, too many questions (429), or a query that Prometheus itself gave up
	BadAnswer     Kind = "bad answer"     // something answered, but not as Prometheus does
	NoSeries      Kind = "no series"      // nothing answers a query that is to give one number
	ManySeries    Kind = "many series"    // something else than one number does
	OwnFile       Kind = "own file"       // a token, certificate or key of ours cannot be read
	Redirect      Kind = "redirect"       // it sends questions elsewhere, where credentials do not follow
)

// Error is a failed question with a next step in its text. It never contains credentials.
type Error struct {
	Kind Kind
	// Address is where the question went, without user, password and query.
	Address string
	// Query is the question; empty where it does not matter.
	Query string
	// Status is the HTTP status; 0 where there was none.
	Status int
	Err    error
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retry tells whether the same question may be answered later without anybody changing anything.
func (e *Error) Retry() bool {
	return e.Kind == Unreachable || e.Kind == Timeout || e.Kind == Server
}

// Error says what happened, in words a person can act on.
func (e *Error) Error() string {
	brokeOff := errors.Is(e.Err, io.EOF) || errors.Is(e.Err, io.ErrUnexpectedEOF)
	switch e.Kind {
	case Unreachable:
		if brokeOff {
			return fmt.Sprintf("Prometheus at %s broke off its answer", e.Address)
		}
		return fmt.Sprintf("Prometheus at %s cannot be reached: %v", e.Address, cause(e.Err))
	case TLS:
		if isPlain(e.Err) {
			return fmt.Sprintf("Prometheus at %s does not speak TLS: use http:// there", e.Address)
		}
		return fmt.Sprintf("Prometheus at %s: certificate not trusted: %v; name its CA", e.Address, cause(e.Err))
	case NoCredentials:
		return fmt.Sprintf("Prometheus at %s asks for credentials (401): give a bearer token", e.Address)
	case Forbidden:
		return fmt.Sprintf("Prometheus at %s refuses these credentials (403): %v", e.Address, cause(e.Err))
	case BadQuery:
		return fmt.Sprintf("Prometheus refused the query %s: %v", e.Query, cause(e.Err))
	case TooLarge:
		return fmt.Sprintf("the answer of Prometheus to %s is too large: %v; narrow the target", e.Query, cause(e.Err))
	case Timeout:
		return fmt.Sprintf("Prometheus at %s did not answer in time", e.Address)
	case Server:
		return fmt.Sprintf("Prometheus at %s could not answer: %v", e.Address, cause(e.Err))
	case NoSeries:
		return fmt.Sprintf("no series answers the query %s", e.Query)
	case ManySeries:
		return fmt.Sprintf("the query %s gives %v where one number is wanted: sum or average them", e.Query, e.Err)
	case Redirect:
		return fmt.Sprintf("Prometheus at %s sends questions on to %v: name that address, if it is the one meant", e.Address, cause(e.Err))
	case OwnFile:
		return fmt.Sprintf("Prometheus at %s was not asked: %v", e.Address, cause(e.Err))
	default:
		return fmt.Sprintf("what answers at %s is not Prometheus: %v", e.Address, cause(e.Err))
	}
}

// cause is the innermost text worth reading: url.Error would repeat method and address.
func cause(err error) string {
	var api *promv1.Error
	if errors.As(err, &api) {
		return apiText(api)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Error()
	}
	var file *fs.PathError
	if errors.As(err, &file) {
		return file.Error()
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		err = next
	}
	if err == nil {
		return "no reason given"
	}
	return err.Error()
}

// apiText is Prometheus' own message; a proxy's page is cut to its first line.
func apiText(e *promv1.Error) string {
	detail, _, _ := strings.Cut(strings.TrimSpace(e.Detail), "\n")
	var status struct{ Kind, Message string } // what the API server says of its service proxy
	if err := json.Unmarshal([]byte(detail), &status); err == nil && status.Kind == "Status" {
		detail = status.Message
	}
	if len(detail) > 200 {
		detail = detail[:200] + "…"
	}
	if detail == "" {
		return e.Msg
	}
	return e.Msg + ": " + detail
}

// redirectError is where a source wants to be asked instead, without user and query.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return e.to }

// noRedirects refuses to be sent elsewhere: the transport gives every request the credentials, whatever its host.
func noRedirects(req *http.Request, _ []*http.Request) error {
	return &redirectError{to: req.URL.Scheme + "://" + req.URL.Host + req.URL.Path}
}

// classify turns any error of the client into ours.
func classify(err error, address, query string) *Error {
	out := &Error{Address: address, Query: query, Err: err}
	out.Kind = kindOfTransport(err)
	var api *promv1.Error
	if out.Kind == Unreachable && errors.As(err, &api) {
		out.Kind, out.Status = kindOfAPI(api)
	}
	return out
}

// kindOfTransport knows what happened before an answer was understood; Unreachable where it is nothing special.
func kindOfTransport(err error) Kind {
	var large *tooLargeError
	var netErr net.Error
	var file *fs.PathError
	var elsewhere *redirectError
	switch {
	case errors.As(err, &file):
		return OwnFile
	case errors.As(err, &elsewhere):
		return Redirect
	case errors.As(err, &large):
		return TooLarge
	case isTLS(err):
		return TLS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return Timeout
	default:
		return Unreachable
	}
}

// isPlain tells whether what answers speaks no TLS at all.
func isPlain(err error) bool {
	var record tls.RecordHeaderError
	return err != nil && (errors.As(err, &record) || strings.Contains(err.Error(), plainAnswer))
}

// plainAnswer is all that net/http says of a server without TLS.
const plainAnswer = "server gave HTTP response to HTTPS client"

func isTLS(err error) bool {
	var (
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		alert    tls.AlertError
		required = strings.Contains(err.Error(), "tls: ")
	)
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify) ||
		errors.As(err, &alert) || isPlain(err) || required
}

// kindOfAPI reads the library's error; for statuses other than 400 and 422 the status is only in its text.
func kindOfAPI(e *promv1.Error) (Kind, int) {
	words := strings.Fields(e.Msg)
	status := 0
	if len(words) > 0 {
		status, _ = strconv.Atoi(words[len(words)-1])
	}
	switch {
	case status == http.StatusUnauthorized:
		return NoCredentials, status
	case status == http.StatusForbidden:
		return Forbidden, status
	case status == http.StatusTooManyRequests:
		return Server, status
	case e.Type == promv1.ErrBadData, e.Type == promv1.ErrExec:
		return BadQuery, status
	case e.Type == promv1.ErrTimeout, e.Type == promv1.ErrCanceled, e.Type == promv1.ErrServer:
		return Server, status
	default:
		return BadAnswer, status
	}
}

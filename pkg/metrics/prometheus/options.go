package prometheus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// The limits of one question where Options does not set them.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultMaxBytes = 64 << 20
)

// Options say where Prometheus is and how to be let in.
type Options struct {
	// URL is Prometheus' address, with the path prefix it is served under, if any. Thanos, Mimir and other servers of
	// the same API work as well.
	URL string
	// BearerToken, or BearerTokenFile (read for every question, since tokens in files are rotated), is sent as
	// "Authorization: Bearer".
	BearerToken     string
	BearerTokenFile string
	// CAFile has the PEM certificates to trust instead of the system's; CertFile and KeyFile are ours, for mutual TLS.
	CAFile, CertFile, KeyFile string
	// InsecureSkipVerify trusts any certificate.
	InsecureSkipVerify bool
	// Headers are added to every question (X-Scope-OrgID, for one).
	Headers map[string]string
	// Timeout bounds one question with its answer.
	Timeout time.Duration
	// MaxBytes bounds an answer, after decompression.
	MaxBytes int64
	// Transport carries the questions instead of an own one: the CLI passes one that goes through the API server's
	// service proxy. It brings its own TLS and authentication; the TLS options must then be empty.
	Transport http.RoundTripper
	// OnWarning is told each warning that Prometheus sends with an answer; nil drops them.
	OnWarning func(text string)
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.OnWarning == nil {
		o.OnWarning = func(string) {}
	}
	return o
}

// parse checks the address and splits off a user and password, which are sent as a header and never printed.
func (o Options) parse() (*url.URL, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("the address of Prometheus must be a URL such as http://prometheus.monitoring:9090")
	}
	return u, nil
}

// transport is the whole chain: headers, then the size limit, then the connection.
func (o Options) transport(user *url.Userinfo) (http.RoundTripper, error) {
	ownTLS := o.CAFile != "" || o.CertFile != "" || o.KeyFile != "" || o.InsecureSkipVerify
	base := o.Transport
	switch {
	case base != nil && ownTLS:
		return nil, errors.New("TLS options for Prometheus do not go with a transport of one's own (service proxy)")
	case base == nil:
		config, err := o.tlsConfig()
		if err != nil {
			return nil, err
		}
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.TLSClientConfig, own.ResponseHeaderTimeout = config, o.Timeout
		base = own
	}
	return &roundTripper{next: base, options: o, user: user}, nil
}

func (o Options) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.InsecureSkipVerify}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the CA of Prometheus: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the CA file %s holds no PEM certificate", o.CAFile)
		}
	}
	if o.CertFile == "" && o.KeyFile == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate for Prometheus: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// roundTripper adds credentials and headers and bounds the answer.
type roundTripper struct {
	next    http.RoundTripper
	options Options
	user    *url.Userinfo
}

// RoundTrip implements http.RoundTripper.
func (r *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, value := range r.options.Headers {
		req.Header.Set(name, value)
	}
	if err := r.authorize(req); err != nil {
		return nil, err
	}
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: r.options.MaxBytes, limit: r.options.MaxBytes}
	return resp, nil
}

func (r *roundTripper) authorize(req *http.Request) error {
	token := r.options.BearerToken
	if r.options.BearerTokenFile != "" {
		text, err := os.ReadFile(r.options.BearerTokenFile)
		if err != nil {
			return fmt.Errorf("reading the token for Prometheus: %w", err)
		}
		if token = strings.TrimSpace(string(text)); token == "" {
			return &fs.PathError{Op: "reading a token from", Path: r.options.BearerTokenFile, Err: errors.New("it is empty")}
		}
	}
	switch {
	case token != "":
		req.Header.Set("Authorization", "Bearer "+token)
	case r.user != nil:
		password, _ := r.user.Password()
		req.SetBasicAuth(r.user.Username(), password)
	}
	return nil
}

// tooLargeError tells an answer that was cut off from one that ended.
type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string { return fmt.Sprintf("more than %d MiB", e.limit>>20) }

// limitedBody fails where io.LimitReader would end in silence.
type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, &tooLargeError{b.limit}
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &tooLargeError{b.limit}
	}
	return n, err
}

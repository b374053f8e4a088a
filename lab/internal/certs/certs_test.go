package certs

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"
)

func TestIssuedCertificatesVerify(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	a, err := NewAuthority(dir, "test", now)
	if err != nil {
		t.Fatal(err)
	}
	r := Request{File: "server", Name: "server", DNS: []string{"kubernetes.default.svc"}, IPs: []string{"127.0.0.1"}}
	if err := a.Issue(r, now); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("the authority's certificate is not readable")
	}
	for _, name := range []string{"kubernetes.default.svc", "127.0.0.1"} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: pool}); err != nil {
			t.Errorf("verifying for %s: %v", name, err)
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{DNSName: "other", Roots: pool}); err == nil {
		t.Error("the certificate is good for a name it was not issued for")
	}
}

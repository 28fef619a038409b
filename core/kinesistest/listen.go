// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// ErrClosed is returned by [Server.Start] after [Server.Close].
var ErrClosed = errors.New("kinesistest: server is closed")

// Start serves HTTP, or HTTPS with [WithTLS], on a free port of the loopback
// address. It returns once the server accepts connections. Starting again does
// nothing.
func (s *Server) Start() error { return s.StartAt("127.0.0.1:0") }

// StartAt is [Server.Start] at an address of the form host:port.
func (s *Server) StartAt(address string) error {
	web := &s.web
	web.mu.Lock()
	defer web.mu.Unlock()
	if web.closed {
		return ErrClosed
	}
	if web.server != nil {
		return nil
	}
	if s.cfg.tls && web.certs == nil {
		c, err := newCertificates()
		if err != nil {
			return fmt.Errorf("cannot make a certificate: %w", err)
		}
		web.certs = c
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen at %s: %w", address, err)
	}
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		// Broken connections are part of the tests, not news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	web.listen, web.server, web.served = l, srv, make(chan struct{})
	if web.certs != nil {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{web.certs.server}, MinVersion: tls.VersionTLS12}
	}
	// The goroutine accepts connections; Close ends it and waits for it.
	go func() {
		defer close(web.served)
		if srv.TLSConfig != nil {
			_ = srv.ServeTLS(l, "", "") // always http.ErrServerClosed
			return
		}
		_ = srv.Serve(l) // always http.ErrServerClosed
	}()
	return nil
}

// Close ends the HTTP server, if any, with the calls it is serving, and waits
// for them. The in-process client and what is stored stay usable. It may be called
// any number of times.
func (s *Server) Close() error {
	web := &s.web
	web.mu.Lock()
	web.closed = true
	srv, served, stop, client := web.server, web.served, web.stop, web.client
	web.mu.Unlock()
	if stop != nil {
		stop()
	}
	var err error
	if srv != nil {
		err = srv.Close()
		<-served
	}
	web.handlers.Wait()
	if client != nil {
		client.CloseIdleConnections()
	}
	return err
}

// URL returns the address of a started server, such as http://127.0.0.1:34567, or "".
func (s *Server) URL() string {
	s.web.mu.Lock()
	defer s.web.mu.Unlock()
	if s.web.listen == nil {
		return ""
	}
	scheme := "http://"
	if s.cfg.tls {
		scheme = "https://"
	}
	return scheme + s.web.listen.Addr().String()
}

// CertPool returns the authority that signed the certificate of a server started
// [WithTLS], or nil.
func (s *Server) CertPool() *x509.CertPool {
	s.web.mu.Lock()
	defer s.web.mu.Unlock()
	if s.web.certs == nil {
		return nil
	}
	return s.web.certs.pool
}

// CertPEM returns the authority of [Server.CertPool] in PEM, for a file, or nil.
func (s *Server) CertPEM() []byte {
	s.web.mu.Lock()
	defer s.web.mu.Unlock()
	if s.web.certs == nil {
		return nil
	}
	return s.web.certs.pem
}

// SDK returns the real SDK's client for a started server: static credentials,
// one attempt for each call, and an HTTP client of the server's own, whose
// connections [Server.Close] closes. Options come last.
func (s *Server) SDK(opts ...func(*kinesis.Options)) *kinesis.Client {
	o := kinesis.Options{
		Region:       s.cfg.region,
		BaseEndpoint: aws.String(s.URL()),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   HideWriterTo(s.httpClient()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "kinesistest", SecretAccessKey: "kinesistest", Source: "kinesistest"}, nil
		}),
	}
	return kinesis.New(o, opts...)
}

func (s *Server) httpClient() *http.Client {
	pool := s.CertPool()
	s.web.mu.Lock()
	defer s.web.mu.Unlock()
	if s.web.client == nil {
		s.web.client = &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 64,
			ForceAttemptHTTP2:   true,
			TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		}}
	}
	return s.web.client
}

// HideWriterTo wraps an HTTP client for the SDK, so that a fast server on the
// loopback address does not make it lose replies: the WriteTo method of the SDK's
// request body reports io.EOF as an error once the body was closed, which makes
// net/http close a connection whose reply is still being read
// (https://github.com/aws/aws-sdk-go-v2/issues/1825, 2026-11-24).
func HideWriterTo(c *http.Client) kinesis.HTTPClient { return noWriterTo{c} }

type noWriterTo struct{ c *http.Client }

// Do sends the request with a body that can only be read and closed.
func (h noWriterTo) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return h.c.Do(r)
}

type certificates struct {
	server tls.Certificate
	pool   *x509.CertPool
	pem    []byte
}

// newCertificates makes a self-signed certificate for the loopback addresses. It
// uses the real clock: TLS peers check it against theirs.
func newCertificates() (*certificates, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "kinesistest"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &certificates{
		server: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}, pool: pool,
		pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}, nil
}

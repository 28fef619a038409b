// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"

	"github.com/outkpl/outkpl/vector/internal/config"
)

// newTLS returns the server's TLS settings, or nil if there is no certificate. Files
// are read again when they change; connections that are open keep what they have.
func newTLS(cfg *config.TLS, http2 bool, log *slog.Logger) (*tls.Config, error) {
	if cfg.CertFile == "" {
		return nil, nil
	}
	paths := []string{cfg.CertFile, cfg.KeyFile}
	if cfg.ClientCAFile != "" {
		paths = append(paths, cfg.ClientCAFile)
	}
	w, err := newWatched("TLS files", paths, log, func() (*tls.Config, error) { return readTLS(cfg, http2) })
	if err != nil {
		return nil, err
	}
	first := w.get()
	return &tls.Config{
		MinVersion: first.MinVersion,
		NextProtos: first.NextProtos,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return w.get(), nil
		},
	}, nil
}

func readTLS(cfg *config.TLS, http2 bool) (*tls.Config, error) {
	certPEM, err := readText("tls.cert_file", cfg.CertFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readText("tls.key_file", cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("cannot use tls.cert_file %s with tls.key_file %s: %w", cfg.CertFile, cfg.KeyFile, err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
	}
	if http2 {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	if cfg.MinVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	if cfg.ClientCAFile == "" {
		return c, nil
	}
	pem, err := readText("tls.client_ca_file", cfg.ClientCAFile)
	if err != nil {
		return nil, err
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot use tls.client_ca_file %s: no certificate in it", cfg.ClientCAFile)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if cfg.ClientAuth == "optional" {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return c, nil
}

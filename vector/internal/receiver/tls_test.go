// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool(), file: filepath.Join(dir, name+".pem")}
	der, key := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key = key
	a.pool.AddCert(a.cert)
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// sign makes a certificate that by counts as its authority, or its own.
func sign(t *testing.T, c *x509.Certificate, by *authority) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	// The clock of a synctest bubble stands in the year 2000.
	c.NotBefore, c.NotAfter = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	parent, parentKey := c, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func (a *authority) issue(t *testing.T, certFile, keyFile, name string) tls.Certificate {
	t.Helper()
	der, key := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", pkcs8)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLSIsReadAgainAndClientsNeedCertificates(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ca, other := newAuthority(t, dir, "ca"), newAuthority(t, dir, "other")
	ca.issue(t, in("srv.pem"), in("srv.key"), "kpl")
	good := ca.issue(t, in("cli.pem"), in("cli.key"), "client")
	strange := other.issue(t, in("x.pem"), in("x.key"), "stranger")
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), tls: &tls.Config{RootCAs: ca.pool}}
		r.configure("--tls.cert_file="+in("srv.pem"), "--tls.key_file="+in("srv.key"), "--tls.client_ca_file="+ca.file)
		r.start()
		defer r.stop()
		try := func(name string, roots *x509.CertPool, certs []tls.Certificate, ok bool) {
			t.Helper()
			c := r.withTLS(&tls.Config{RootCAs: roots, Certificates: certs, MaxVersion: tls.VersionTLS13})
			rp := c.post(t.Context(), "/", ndjson(0, 1))
			if (rp.status == 200) != ok {
				t.Errorf("%s: unexpected outcome; got %d, %v; want success: %v", name, rp.status, rp.err, ok)
			}
			c.client.CloseIdleConnections()
		}
		try("certificate of the authority", ca.pool, []tls.Certificate{good}, true)
		try("no certificate", ca.pool, nil, false)
		try("certificate of a stranger", ca.pool, []tls.Certificate{strange}, false)

		other.issue(t, in("srv.pem"), in("srv.key"), "kpl")
		wait(t.Context(), 2*watchInterval)
		try("new certificate, old authority", ca.pool, []tls.Certificate{good}, false)
		try("new certificate, new authority", other.pool, []tls.Certificate{good}, true)

		if err := os.WriteFile(in("srv.key"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		wait(t.Context(), 2*watchInterval)
		try("a broken file changes nothing", other.pool, []tls.Certificate{good}, true)
	})
}

// A byte order mark does not hide the first certificate of a file.
func TestCertificatesBehindAByteOrderMark(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ca, other := newAuthority(t, dir, "ca"), newAuthority(t, dir, "other")
	ca.issue(t, in("srv.pem"), in("srv.key"), "kpl")
	good := ca.issue(t, in("cli.pem"), in("cli.key"), "client")
	second, err := os.ReadFile(other.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{in("srv.pem"), in("srv.key"), ca.file} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text = append([]byte("\ufeff"), text...)
		if name == ca.file {
			text = append(text, second...)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), tls: &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{good}}}
		r.configure("--tls.cert_file="+in("srv.pem"), "--tls.key_file="+in("srv.key"), "--tls.client_ca_file="+ca.file)
		r.start()
		defer r.stop()
		r.post(t.Context(), "/", ndjson(0, 1)).want(t, 200, "")
	})
}

func TestHTTP2(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ca := newAuthority(t, dir, "ca")
	ca.issue(t, in("srv.pem"), in("srv.key"), "kpl")
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), tls: &tls.Config{RootCAs: ca.pool}}
		r.configure("--tls.cert_file="+in("srv.pem"), "--tls.key_file="+in("srv.key"), "--server.http2=true", "--server.body_grace=1s")
		r.start()
		r.client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Delay(3 * time.Second)})
		rp := r.post(t.Context(), "/", ndjson(0, 1000))
		rp.want(t, 200, `{"events":1000}`)
		if rp.proto != "HTTP/2.0" {
			t.Errorf("unexpected protocol; got %s; want HTTP/2.0", rp.proto)
		}
		r.account("logs", 1000, 0)
		pr, pw := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url("/"), pr)
		if err != nil {
			t.Fatal(err)
		}
		r.do(req).want(t, 503, "slow") // nothing is ever written
		_ = pw.Close()
		r.stop()
	})
}

// SPDX-License-Identifier: Apache-2.0

package remedy

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/testkit"
)

var update = flag.Bool("update", false, "write the table of docs/troubleshooting.md")

func TestTableIsWhole(t *testing.T) {
	kinds, codes := map[Kind]bool{}, map[string]bool{}
	for _, r := range All() {
		if kinds[r.Kind] || r.Kind == "" || r.Cause == "" || r.Do == "" {
			t.Errorf("unexpected row; got %+v; want a kind of its own, a cause and what to do", r)
		}
		kinds[r.Kind] = true
		if (r.is != nil || r.text != nil) != (len(r.refines) > 0) {
			t.Errorf("%s: what is looked for in a failure needs the kinds that it is found in, and these need something to look for", r.Kind)
		}
		for _, code := range r.Codes {
			if codes[code] || strings.HasSuffix(code, "Exception") {
				t.Errorf("unexpected code %q; want each once, without its ending", code)
			}
			codes[code] = true
		}
		if Of(r.Kind).Kind != r.Kind {
			t.Errorf("%s is not found by its kind", r.Kind)
		}
		for _, o := range r.Options() {
			for name, names := range map[string]Names{"plugin": Plugin, "receiver": Receiver, "command": Command, "library": Library} {
				if names(o) == "" {
					t.Errorf("%s: the option %s has no name in %s", r.Kind, o, name)
				}
			}
		}
	}
}

// callError is what an HTTP client says of a call to an address.
func callError(t *testing.T, client *http.Client, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("unexpected answer; want an error")
	}
	return err
}

// The errors are those that a client really gets; what a log line has of them is their text.
func TestFailuresOfRealConnectionsAreTold(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = nil
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	closed := "http://" + testkit.FreeAddress(t)
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	defer cut.Close()
	// Whatever the name, it leads to the server; not each machine knows localhost.
	trusting := secure.Client().Transport.(*http.Transport).Clone()
	trusting.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, secure.Listener.Addr().String())
	}
	own := &http.Client{Transport: trusting}
	resolve := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no resolver") }}
	lost := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Resolver: resolve}).DialContext}}
	hang := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}}}
	for _, tc := range []struct {
		name string
		err  error
		want Kind
	}{
		{"unknown authority", callError(t, &http.Client{}, secure.URL), UnknownAuthority},
		{"wrong host", callError(t, own, "https://kinesis.nowhere.example"), WrongCertificate},
		{"no TLS", callError(t, &http.Client{}, strings.Replace(plain.URL, "http:", "https:", 1)), NotTLS},
		{"refused", callError(t, &http.Client{}, closed), ConnRefused},
		{"DNS", callError(t, lost, "http://kinesis.nowhere.example"), DNS},
		{"hanging", callError(t, hang, "http://192.0.2.1"), Timeout},
		{"cut", callError(t, &http.Client{}, cut.URL), Reset},
		{"deadline", context.DeadlineExceeded, Timeout},
		{"no route", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, Unreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Find("RequestFailed", "", tc.err).Kind; got != tc.want {
				t.Errorf("unexpected remedy of the error %q; got %s; want %s", tc.err, got, tc.want)
			}
			if got := Find("RequestFailed", "operation error Kinesis: PutRecords, https response error StatusCode: 0, RequestID: , request send failed, "+tc.err.Error(), nil).Kind; got != tc.want {
				t.Errorf("unexpected remedy of the text %q; got %s; want %s", tc.err, got, tc.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	for _, tc := range []struct {
		code, text string
		err        error
		want       Kind
	}{
		{"ResourceNotFoundException", "Stream x under account 1 not found.", nil, NoStream},
		{"SignatureDoesNotMatch", "The request signature we calculated does not match", nil, WrongSignature},
		{"InvalidSignatureException", "Signature expired: 20261129T100000Z is now earlier than 20261129T101000Z", nil, Clock},
		{"InvalidSignatureException", "Credential should be scoped to a valid region, not 'us-east-1'.", nil, WrongRegion},
		{"UnrecognizedClientException", "The security token included in the request is invalid.", nil, UnknownKey},
		{"NoCredentials", "operation error STS: AssumeRole, https response error StatusCode: 403, api error AccessDenied: User is not authorized to perform: sts:AssumeRole", nil, RoleRefused},
		{"NoCredentials", "operation error STS: AssumeRoleWithWebIdentity, request send failed, dial tcp: lookup sts.eu-west-1.amazonaws.com: no such host", nil, SourceOutOfReach},
		{"NoCredentials", "get credentials: failed to refresh cached credentials, no EC2 IMDS role found", nil, NoCredentials},
		{"KMSAccessDeniedException", "", nil, KMSDenied},
		{"KMSDisabledException", "", nil, KMSUnusable},
		{"HTTP407", "the proxy or network wants a login; HTTP status 407", nil, ProxyLogin},
		{"HTTP502", "Kinesis or something on the way to it failed; HTTP status 502", nil, ForeignAnswer},
		{"RequestFailed", "something else", nil, NoAnswer},
		{"RequestThrottlingException", "", nil, CallsThrottled},
		{"dead_letter", "cannot write: no space left on device", nil, DiskFull},
		{"journal", "", fmt.Errorf("open: %w", &os.PathError{Op: "open", Err: syscall.EROFS}), NotWritable},
		{"journal", "", &os.PathError{Op: "write", Err: syscall.ENOSPC}, DiskFull},
		{"dead_letter", "the dead letter files are full: there are 10 full ones", nil, DeadLettersFull},
		// A text that looks like another failure does not count where the code is clear.
		{"AccessDeniedException", "dial tcp: connection refused, no space left on device", nil, AccessDenied},
		{"NewException", "no such host", nil, Unknown},
		{"", "", &tls.CertificateVerificationError{Err: errors.New("x509: certificate signed by unknown authority")}, UnknownAuthority},
	} {
		if got := Find(tc.code, tc.text, tc.err).Kind; got != tc.want {
			t.Errorf("unexpected remedy of %s %q %v; got %s; want %s", tc.code, tc.text, tc.err, got, tc.want)
		}
	}
}

func TestAdviceIsInTheWordsOfTheProgram(t *testing.T) {
	for _, tc := range []struct {
		names Names
		want  string
	}{{Plugin, "set 'ca_file'"}, {Receiver, "set aws.ca_file"}, {Command, "set AWS_CA_BUNDLE"}, {Library, "set Config.CAFile"}} {
		if got := Of(UnknownAuthority).Advice(tc.names, ""); !strings.HasSuffix(got, tc.want) {
			t.Errorf("unexpected advice; got %q; want %q at its end", got, tc.want)
		}
	}
	r := Of(AccessDenied)
	if got := r.Advice(Plugin, "kinesis:ListShards"); !strings.HasPrefix(got, "allow kinesis:ListShards on ") || r.Permission("kinesis:ListShards") != "kinesis:ListShards" {
		t.Errorf("unexpected advice; got %q, permission %q", got, r.Permission("kinesis:ListShards"))
	}
	if got := Of(KMSDenied).Permission("kinesis:PutRecords"); got != "kms:GenerateDataKey" {
		t.Errorf("unexpected permission; got %q; want that of the key", got)
	}
}

// markdown is the table for people.
func markdown() string {
	var b strings.Builder
	b.WriteString("| Cause | Codes | What to do |\n|---|---|---|\n")
	for _, r := range All() {
		var codes []string
		for _, c := range r.Codes {
			if c[0] >= 'A' && c[0] <= 'Z' { // others are reasons, which have lines of their own
				codes = append(codes, "`"+c+"`")
			}
		}
		if len(codes) == 0 {
			for _, k := range r.refines {
				if of := Of(k).Codes[0]; of[0] >= 'A' && of[0] <= 'Z' {
					codes = append(codes, "`"+of+"`")
				}
			}
		}
		do := r.Advice(func(option string) string { return "`" + option + "`" }, "the action of the call")
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.Cause, strings.Join(slices.Compact(codes), ", "), do)
	}
	return b.String()
}

const (
	begin = "<!-- begin: generated by go test ./internal/remedy -update -->\n"
	end   = "<!-- end -->"
)

func TestDocumentHasTheTable(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "troubleshooting.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", path)
	}
	want := before + begin + markdown() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Errorf("%s is not that of the table; write it with go test ./internal/remedy -update", path)
	}
}

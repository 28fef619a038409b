// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
)

// ErrNoRegion is why New and Load fail if nothing says which region is meant.
var ErrNoRegion = errors.New("no region is set; set region, AWS_REGION or the profile's region")

// Config is what a user may set. The zero value means: everything from the
// environment.
type Config struct {
	// Region, such as "eu-central-1". Default: AWS_REGION, AWS_DEFAULT_REGION
	// or the profile's region; without any New fails.
	Region string
	// Endpoint of Kinesis: host, host:port, or a URL with http or https.
	// Default: the region's.
	Endpoint string
	// Profile of the shared configuration files. Default: AWS_PROFILE or
	// "default".
	Profile string
	// RoleARN is a role to assume with the credentials of the chain. Default: none.
	RoleARN string
	// ExternalID goes with RoleARN. Default: none.
	ExternalID string
	// STSEndpoint is where STS is called, for this role, those of profiles and web
	// identities, in the forms of Endpoint. Default: the region's.
	STSEndpoint string
	// MaxConnections bounds the connections to Kinesis. Default 24, as in the
	// KPL; range 1 to 256. It should not be below the producer's MaxInFlight.
	MaxConnections int
	// ConnectTimeout bounds dialling and the TLS handshake, each. Default 6 s,
	// as in the KPL; range 100 ms to 5 min.
	ConnectTimeout time.Duration
	// FIPS uses the FIPS endpoints of AWS, DualStack those with IPv6. Neither goes
	// with an endpoint of Kinesis. Default: AWS_USE_FIPS_ENDPOINT,
	// AWS_USE_DUALSTACK_ENDPOINT or the profile; these give way to an endpoint.
	FIPS, DualStack bool
	// Proxy is a URL (http, https or socks5), with user and password if need be,
	// for everything but addresses of this machine and of its metadata services.
	// Default: HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
	Proxy string
	// CAFile is a PEM file of the certificate authorities to trust instead of the
	// system's. Default: AWS_CA_BUNDLE, else the system's.
	CAFile string
	// SkipVerify accepts every certificate. For tests only: a machine in between reads the data and gets signed requests.
	SkipVerify bool
	// WireFormat is how requests are written. Default WireAuto.
	WireFormat WireFormat
	// Product and Version are sent as part of the user agent, ExtraUserAgent behind
	// them: words of a to z, digits and -._~ separated by blanks or '/'. Default:
	// nothing.
	Product, Version string
	ExtraUserAgent   string
	// Logger is told when credentials are replaced and when a setting gives way to
	// another; it gets the messages of the SDK, at debug level. Default: nobody does.
	Logger *slog.Logger
}

func (c *Config) validate() (endpoint, stsEndpoint string, err error) {
	var errs []error
	endpoint, err = ParseEndpoint(c.Endpoint)
	errs = append(errs, err)
	stsEndpoint, err = ParseEndpoint(c.STSEndpoint)
	if err != nil {
		errs = append(errs, fmt.Errorf("sts %w", err))
	}
	if c.ExternalID != "" && c.RoleARN == "" {
		errs = append(errs, errors.New("external ID is set without a role ARN"))
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 24
	}
	if c.MaxConnections < 1 || c.MaxConnections > 256 {
		errs = append(errs, fmt.Errorf("max connections %d is out of range; allowed: 1 to 256", c.MaxConnections))
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 6 * time.Second
	}
	if c.ConnectTimeout < 100*time.Millisecond || c.ConnectTimeout > 5*time.Minute {
		errs = append(errs, fmt.Errorf("connect timeout %v is out of range; allowed: 100ms to 5m", c.ConnectTimeout))
	}
	if (c.FIPS || c.DualStack) && c.Endpoint != "" {
		errs = append(errs, errors.New("FIPS or dual-stack is set together with an endpoint, which would not be used"))
	}
	_, err = ParseProxy(c.Proxy)
	errs = append(errs, err)
	if c.WireFormat == "" {
		c.WireFormat = WireAuto
	}
	if !slices.Contains(WireFormats(), string(c.WireFormat)) {
		errs = append(errs, fmt.Errorf("wire format %q is not known; allowed: auto, cbor, json", c.WireFormat))
	}
	return endpoint, stsEndpoint, errors.Join(errs...)
}

// New makes a client. It has a method CloseIdleConnections() for the end of its use.
// The error names every setting that is wrong. ctx is used
// for reading configuration files only.
func New(ctx context.Context, c Config) (core.Client, error) {
	a, err := Load(ctx, c)
	if err != nil {
		return nil, err
	}
	return a.Kinesis(), nil
}

// newHTTPClient returns a client that the SDK can add CAs to. It does not follow
// redirects: an API has none, and one could carry data elsewhere.
func newHTTPClient(c *Config) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout, d.KeepAlive = c.ConnectTimeout, 30*time.Second }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = c.ConnectTimeout
			t.MaxConnsPerHost = c.MaxConnections
			t.MaxIdleConns = 2 * c.MaxConnections
			t.MaxIdleConnsPerHost = c.MaxConnections
			// Kinesis closes idle connections after a minute; a reused dead
			// one costs an attempt of unknown outcome.
			t.IdleConnTimeout = 45 * time.Second
			t.WriteBufferSize = 64 << 10
			// HTTP/1.1: requests are large, so that what HTTP/2 saves in headers
			// is nothing to what its frames cost, and one stalled connection would
			// hold up all requests.
			t.ForceAttemptHTTP2 = false
			t.Protocols, t.TLSNextProto = new(http.Protocols), nil
			t.Protocols.SetHTTP1(true)
			t.TLSClientConfig.NextProtos = nil // what the SDK has put there
			proxy := http.ProxyFromEnvironment
			if u, _ := ParseProxy(c.Proxy); u != nil { // checked before
				proxy = http.ProxyURL(u)
			}
			t.Proxy = func(r *http.Request) (*url.URL, error) {
				if isLocal(r.URL.Hostname()) {
					return nil, nil
				}
				return proxy(r)
			}
			if c.SkipVerify {
				t.TLSClientConfig.InsecureSkipVerify = true
			}
		})
}

// withoutWriterTo hides the WriteTo of request bodies; see the package comment.
type withoutWriterTo struct{ c aws.HTTPClient }

// Do implements the SDK's HTTPClient.
func (h withoutWriterTo) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = holdBody(r)
	}
	return h.c.Do(r)
}

// client is the SDK's, with memory for requests.
type client struct {
	*kinesis.Client
	aws   *AWS
	wires *negotiation
}

// WireFormat tells in which format calls go now, WireCBOR or WireJSON.
func (c *client) WireFormat() WireFormat { return c.wires.current() }

// CheckCredentials says why there are no credentials, nil if there are.
func (c *client) CheckCredentials(ctx context.Context) error {
	provider := c.Options().Credentials
	if provider == nil {
		return errors.New("no source of credentials is set")
	}
	_, err := provider.Retrieve(ctx)
	return err
}

// CloseIdleConnections closes the connections that no request is using. Without it
// they stay open for 45 seconds after the last use.
func (c *client) CloseIdleConnections() { c.aws.CloseIdleConnections() }

// AWS returns what the client shares with those of other services.
func (c *client) AWS() *AWS { return c.aws }

var _ core.Client = (*client)(nil)

// PutRecords implements core.Client.
func (c *client) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	ctx, release := withBody(ctx)
	defer release()
	return c.Client.PutRecords(ctx, in, opts...)
}

// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/outkpl/outkpl/core"
)

// AWS is what all clients of a process share: settings, credentials and connections.
type AWS struct {
	set         Config
	stsEndpoint string
	pem         []byte // of Config.CAFile

	cfg       aws.Config // as it was at the start
	transport aws.HTTPClient
	kinesis   *client

	mu   sync.Mutex // guards said
	said map[string]bool
}

// Load reads the settings that are not in c and makes the Kinesis client. The error
// names every setting that is wrong. ctx is used for reading configuration files only.
func Load(ctx context.Context, c Config) (*AWS, error) {
	endpoint, stsEndpoint, err := c.validate()
	if err != nil {
		return nil, fmt.Errorf("cannot make Kinesis client: %w", err)
	}
	a := &AWS{set: c, stsEndpoint: stsEndpoint, said: make(map[string]bool)}
	if c.CAFile != "" {
		if a.pem, err = os.ReadFile(c.CAFile); err != nil {
			return nil, fmt.Errorf("cannot read the file of certificate authorities: %w", err)
		}
		if utf16(a.pem) {
			return nil, fmt.Errorf("cannot read the file of certificate authorities: %s is UTF-16; allowed: UTF-8", c.CAFile)
		}
		a.pem = bytes.TrimPrefix(a.pem, []byte(byteOrderMark)) // it would hide the first certificate
		if !x509.NewCertPool().AppendCertsFromPEM(a.pem) {
			return nil, fmt.Errorf("cannot read the file of certificate authorities: %s has no certificate in PEM form", c.CAFile)
		}
	}
	read := stampOf(sharedFiles())
	cfg, src, err := a.load(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("cannot make Kinesis client: %w", ErrNoRegion)
	}
	read.tokens = stampOf(src.files).tokens
	// Out of cfg, because loading may have added the CAs of AWS_CA_BUNDLE.
	a.transport = cfg.HTTPClient
	if b, ok := a.transport.(*awshttp.BuildableClient); ok {
		t := b.GetTransport()
		gatherWrites(t)
		// The client that it would make itself cannot close its connections.
		a.transport = &http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	credentials := newChain(src, read, func(ctx context.Context) (source, error) {
		_, src, err := a.load(ctx)
		return src, err
	}, c.Logger)
	cfg.HTTPClient, cfg.Credentials = a, credentials
	cfg.APIOptions = append(cfg.APIOptions, watch(credentials))
	if c.Product != "" {
		cfg.APIOptions = append(cfg.APIOptions, awsmiddleware.AddUserAgentKeyValue(c.Product, c.Version))
	}
	for _, word := range strings.Fields(c.ExtraUserAgent) {
		if key, value, ok := strings.Cut(word, "/"); ok {
			cfg.APIOptions = append(cfg.APIOptions, awsmiddleware.AddUserAgentKeyValue(key, value))
		} else {
			cfg.APIOptions = append(cfg.APIOptions, awsmiddleware.AddUserAgentKey(word))
		}
	}
	a.cfg = cfg
	var wires *negotiation
	k := kinesis.NewFromConfig(cfg, func(o *kinesis.Options) {
		err = a.address(kinesis.ServiceID, endpoint, &o.BaseEndpoint, &o.EndpointOptions.UseFIPSEndpoint, &o.EndpointOptions.UseDualStackEndpoint)
		o.Retryer = aws.NopRetryer{}
		wires = newNegotiation(&c, jsonWire{o.Protocol})
		o.Protocol = protocol{o.Protocol, wires}
		o.APIOptions = append(o.APIOptions, wires.register)
	})
	switch at := k.Options().BaseEndpoint; {
	case err != nil:
		return nil, fmt.Errorf("cannot make Kinesis client: %w", err)
	case at != nil && (c.FIPS || c.DualStack):
		return nil, fmt.Errorf("cannot make Kinesis client: FIPS or dual-stack is set together with the endpoint %q of AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_KINESIS or the profile; "+
			"unset one of them, or set AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", WithoutPassword(*at))
	}
	a.kinesis = &client{Client: k, aws: a, wires: wires}
	return a, nil
}

// Kinesis returns the client of Kinesis.
func (a *AWS) Kinesis() core.Client { return a.kinesis }

// Where returns the region and the address that records go to.
func (a *AWS) Where(ctx context.Context) (region, endpoint string) {
	o := a.kinesis.Options()
	if o.BaseEndpoint != nil {
		return o.Region, WithoutPassword(*o.BaseEndpoint)
	}
	e, err := kinesis.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, kinesis.EndpointParameters{
		Region:       &o.Region,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	if err != nil {
		return o.Region, ""
	}
	return o.Region, e.URI.String()
}

// CheckCredentials says why there are none, nil if there are.
func (a *AWS) CheckCredentials(ctx context.Context) error { return a.kinesis.CheckCredentials(ctx) }

// Config returns what the client of another service is made from: it has the region,
// the credentials and the connections of Kinesis, and the retries of the SDK. Address
// is to be called from its options.
func (a *AWS) Config() aws.Config { return a.cfg.Copy() }

// Address is called with pointers to the options of a service's client: endpoint, which
// has the forms of Config.Endpoint, goes there if it is not empty. If this or another
// setting gives an endpoint, the choice of FIPS and dual-stack, which AWS has no
// addresses for then, gives way.
func (a *AWS) Address(service, endpoint string, base **string, fips *aws.FIPSEndpointState, dualStack *aws.DualStackEndpointState) error {
	endpoint, err := ParseEndpoint(endpoint)
	if err != nil {
		return fmt.Errorf("%s %w", service, err)
	}
	return a.address(service, endpoint, base, fips, dualStack)
}

func (a *AWS) address(service, endpoint string, base **string, fips *aws.FIPSEndpointState, dualStack *aws.DualStackEndpointState) error {
	if endpoint != "" {
		*base = &endpoint
	}
	if *base == nil {
		return nil
	}
	if u, err := url.Parse(**base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("endpoint %q of %s, from AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_%s or the profile, is not valid; allowed: a URL with http or https",
			WithoutPassword(**base), service, strings.ToUpper(service))
	}
	if *fips != aws.FIPSEndpointStateEnabled && *dualStack != aws.DualStackEndpointStateEnabled {
		return nil
	}
	*fips, *dualStack = aws.FIPSEndpointStateUnset, aws.DualStackEndpointStateUnset
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.set.Logger != nil && !a.said[service] {
		a.said[service] = true
		a.set.Logger.Warn("the endpoint is used as it is; FIPS and dual-stack (options, AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT, profile) do not apply to it",
			"service", service, "endpoint", WithoutPassword(**base))
	}
	return nil
}

// Do implements the SDK's HTTPClient: all clients share their connections.
func (a *AWS) Do(r *http.Request) (*http.Response, error) {
	return withoutWriterTo{a.transport}.Do(r)
}

// CloseIdleConnections closes the connections that no request is using. Without it
// they stay open for 45 seconds after the last use.
func (a *AWS) CloseIdleConnections() {
	if t, ok := a.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// load reads environment and files, and resolves the chain of credentials.
func (a *AWS) load(ctx context.Context) (aws.Config, source, error) {
	c := &a.set
	var wrong error // of what is called back
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(newHTTPClient(c)),
		config.WithLogger(newSDKLogger(c.Logger)),
		// Clients of STS are made within, for profiles with a role and web identities.
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
			if made, ok := o.Client.(*sts.Client); ok { // nil in a first round
				o.Client = a.sts(made.Options(), &wrong)
			}
		}),
		config.WithWebIdentityRoleCredentialOptions(func(o *stscreds.WebIdentityRoleOptions) {
			if made, ok := o.Client.(*sts.Client); ok {
				o.Client = a.sts(made.Options(), &wrong)
			}
		}),
		// The SDK's own client would go through a proxy.
		config.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = a }),
	}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.FIPS {
		options = append(options, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	if c.DualStack {
		options = append(options, config.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled))
	}
	if a.pem != nil {
		options = append(options, config.WithCustomCABundle(bytes.NewReader(a.pem)))
	}
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	bundle := os.Getenv("AWS_CA_BUNDLE")
	if a.pem != nil {
		bundle = "" // which is not used then
	}
	if err := checkFiles(bundle); err != nil {
		return aws.Config{}, source{}, fmt.Errorf("cannot load AWS configuration: %w", err)
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, source{}, fmt.Errorf("cannot load AWS configuration: %w", err)
	}
	src := source{provider: cfg.Credentials, files: filesOf(cfg)}
	if c.RoleARN != "" {
		src.provider = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(a.sts(sts.NewFromConfig(cfg).Options(), &wrong), c.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			if c.ExternalID != "" {
				o.ExternalID = &c.ExternalID
			}
		}))
	}
	if wrong != nil {
		return cfg, source{}, fmt.Errorf("cannot load AWS configuration: %w", wrong)
	}
	return cfg, src, nil
}

// sts makes a client of STS that differs from another by what a sets.
func (a *AWS) sts(o sts.Options, wrong *error) *sts.Client {
	if err := a.address(sts.ServiceID, a.stsEndpoint, &o.BaseEndpoint, &o.EndpointOptions.UseFIPSEndpoint, &o.EndpointOptions.UseDualStackEndpoint); err != nil {
		*wrong = err
	}
	o.HTTPClient = a
	return sts.New(o)
}

// sharedFiles are the two files of AWS's tools.
func sharedFiles() []string {
	files := []string{os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), os.Getenv("AWS_CONFIG_FILE")}
	if files[0] == "" {
		files[0] = config.DefaultSharedCredentialsFilename()
	}
	if files[1] == "" {
		files[1] = config.DefaultSharedConfigFilename()
	}
	return files
}

// byteOrderMark is what some editors put before UTF-8.
const byteOrderMark = "\ufeff"

// utf16 tells whether text begins with the byte order mark of UTF-16.
func utf16(text []byte) bool {
	return bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))
}

// checkFiles finds files of AWS's tools of which the SDK would leave out the first part, or
// everything, without a word. It reads them itself, and only by their names.
func checkFiles(bundle string) error {
	var errs []error
	for i, name := range append(sharedFiles(), bundle) {
		first, part := "[", "section"
		if i == shared {
			first, part = "-----BEGIN ", "certificate"
		}
		// What is no regular file may not be read twice; what cannot be read is told by the SDK.
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		rest, marked := bytes.CutPrefix(text, []byte(byteOrderMark))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		switch {
		case utf16(text):
			errs = append(errs, fmt.Errorf("%s is UTF-16, so that nothing in it counts; save it as UTF-8 without a byte order mark (BOM)", name))
		case marked && bytes.HasPrefix(bytes.TrimSpace(line), []byte(first)):
			errs = append(errs, fmt.Errorf("%s begins with a byte order mark (BOM), so that its first %s does not count; save it as UTF-8 without one", name, part))
		}
	}
	return errors.Join(errs...)
}

// filesOf are the files that the chain reads.
func filesOf(cfg aws.Config) []string {
	files := append(sharedFiles(), os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
	for _, from := range cfg.ConfigSources {
		if s, ok := from.(config.SharedConfig); ok {
			for p := &s; p != nil; p = p.Source {
				files = append(files, p.WebIdentityTokenFile)
			}
		}
	}
	return files
}

// watch tells the chain what services say of its credentials. It is there for each
// attempt of each operation of each client.
func watch(credentials *chain) func(*middleware.Stack) error {
	see := middleware.FinalizeMiddlewareFunc("outkpl:WatchCredentials", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
		middleware.FinalizeOutput, middleware.Metadata, error,
	) {
		out, md, err := next.HandleFinalize(ctx, in)
		r, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return out, md, err
		}
		var api smithy.APIError
		switch key := signedWith(r.Header.Get("Authorization")); {
		case key == "":
		case err == nil:
			credentials.accept(key)
		case errors.As(err, &api) && core.RefusesCredentials(api.ErrorCode()):
			credentials.refuse(key, api.ErrorCode())
		}
		return out, md, err
	})
	return func(s *middleware.Stack) error { return s.Finalize.Insert(see, "Signing", middleware.After) }
}

// signedWith returns the access key of a signature.
func signedWith(authorization string) string {
	_, rest, _ := strings.Cut(authorization, "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	return key
}

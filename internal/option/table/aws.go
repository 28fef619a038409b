// SPDX-License-Identifier: Apache-2.0

package table

import (
	"errors"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/option"
)

// AWS is how Kinesis is reached.
type AWS struct {
	Region         string
	Endpoint       string
	Profile        string
	RoleARN        string
	ExternalID     string
	STSEndpoint    string
	MaxConnections int
	ConnectTimeout time.Duration
	FIPS           bool
	DualStack      bool
	Proxy          string
	CAFile         string
	SkipVerify     bool
	ExtraUserAgent string
	StartupCheck   string
	WireFormat     string
}

// The words of startup_check.
const (
	CheckOff     = "off"
	CheckWarn    = "warn"
	CheckRequire = "require"
)

// Client returns the settings for package awsclient.
func (a *AWS) Client() awsclient.Config {
	return awsclient.Config{
		Region: a.Region, Endpoint: a.Endpoint, Profile: a.Profile,
		RoleARN: a.RoleARN, ExternalID: a.ExternalID, STSEndpoint: a.STSEndpoint,
		MaxConnections: a.MaxConnections, ConnectTimeout: a.ConnectTimeout,
		FIPS: a.FIPS, DualStack: a.DualStack, Proxy: a.Proxy, CAFile: a.CAFile, SkipVerify: a.SkipVerify, ExtraUserAgent: a.ExtraUserAgent,
		WireFormat: awsclient.WireFormat(a.WireFormat),
	}
}

// Check returns the problems of settings that do not go with each other. prefix is that of the
// names.
func (a *AWS) Check(prefix string) (problems []*option.Problem) {
	for _, o := range []struct {
		name string
		on   bool
	}{{"use_fips_endpoint", a.FIPS}, {"use_dualstack_endpoint", a.DualStack}} {
		if o.on && a.Endpoint != "" {
			problems = append(problems, &option.Problem{
				Name: prefix + o.name, What: "it chooses among the endpoints of AWS, but " + prefix + "endpoint is set",
				Allowed: "one or the other",
			})
		}
	}
	if a.ExternalID != "" && a.RoleARN == "" {
		problems = append(problems, &option.Problem{
			Name: prefix + "external_id", What: "it is only sent when a role is assumed, but " + prefix + "role_arn is not set",
			Allowed: "both, or none of them",
		})
	}
	return problems
}

// CheckRegion refuses what is not the name of a region.
func CheckRegion(s string) error {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return errors.New("not the name of an AWS region, such as eu-west-1")
	}
	return nil
}

// CheckEndpoint refuses what is not the address of a service.
func CheckEndpoint(s string) error {
	if _, err := awsclient.ParseEndpoint(s); err != nil {
		return errors.New("not the address of a service")
	}
	return nil
}

func checkProxy(s string) error {
	if _, err := awsclient.ParseProxy(s); err != nil {
		return errors.New("not the URL of a proxy")
	}
	return nil
}

func checkRole(s string) error {
	if !strings.HasPrefix(s, "arn:") || !strings.Contains(s, ":role/") {
		return errors.New("not the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)")
	}
	return nil
}

func checkUserAgent(s string) error {
	for _, r := range s {
		if r > '~' || !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~/ ", r)) {
			return errors.New("not words of a to z, digits and -._~/")
		}
	}
	return nil
}

// EndpointForm says what an endpoint is, for people.
const EndpointForm = "host, host:port, http://host[:port] or https://host[:port]"

// AWSOptions is the table of the options of the AWS client.
func AWSOptions() []option.Option[AWS] {
	return []option.Option[AWS]{
		{
			Spec: option.Spec{
				Name: "region", Form: "an AWS region", DefaultNote: "from the ARN, AWS_REGION, AWS_DEFAULT_REGION or the profile", Check: CheckRegion, Arg: "NAME",
				Hints: []string{"aws_region", "kinesis: did you mean aws?"},
				Doc:   "AWS region of the stream.", PeerC: "the same, required", PeerGo: "the same, required",
			},
			Field: func(a *AWS) any { return &a.Region },
		},
		{
			Spec: option.Spec{
				Name: "endpoint", Form: EndpointForm, Check: CheckEndpoint, Arg: "URL",
				Hints:   []string{"kinesis_endpoint", "kinesis_port: write the port into endpoint, as host:port"},
				Doc:     "Address of the Kinesis API instead of the region's. Without a scheme https is used.",
				Details: "The key `port` is taken by Fluent Bit and cannot be seen by plugins like this one; write host:port.",
				PeerC:   "host only, always TLS; `port` beside it", PeerGo: "full URL",
			},
			Field: func(a *AWS) any { return &a.Endpoint },
		},
		{
			Spec: option.Spec{
				Name: "profile", Hints: []string{"aws_profile"}, Arg: "NAME",
				Doc: "Profile of the shared AWS configuration and credentials files. Default: AWS_PROFILE.", PeerC: "the same",
			},
			Field: func(a *AWS) any { return &a.Profile },
		},
		{
			Spec: option.Spec{
				Name: "role_arn", Form: "ARN of an IAM role", Check: checkRole, Hints: []string{"aws_role_arn"}, Arg: "ARN",
				Doc: "Role to assume.",
				Details: "Without it, credentials come from where the AWS SDK looks: environment, shared files, web identity (IRSA), container (ECS, EKS Pod Identity), " +
					"instance (IMDSv2). With it, those are used to assume the role.",
				PeerC: "the same", PeerGo: "the same",
			},
			Field: func(a *AWS) any { return &a.RoleARN },
		},
		{
			Spec: option.Spec{
				Name: "external_id", Secret: true, Hints: []string{"aws_external_id"}, Arg: "TEXT",
				Doc: "External id to assume the role with.", PeerC: "the same",
			},
			Field: func(a *AWS) any { return &a.ExternalID },
		},
		{
			Spec: option.Spec{
				Name: "sts_endpoint", Form: EndpointForm, Check: CheckEndpoint, Arg: "URL",
				Doc:   "Address of the STS API, for role_arn as well as for web identities (IRSA) and profiles with a role.",
				PeerC: "the same", PeerGo: "the same",
			},
			Field: func(a *AWS) any { return &a.STSEndpoint },
		},
		{
			Spec: option.Spec{
				Name: "max_connections", Kind: option.Int, Default: "24", Min: 1, Max: 256,
				Doc: "Most connections to Kinesis. Should not be below max_in_flight.",
			},
			Field: func(a *AWS) any { return &a.MaxConnections },
		},
		{
			Spec: option.Spec{
				Name: "connect_timeout", Kind: option.Duration, Default: "6s", Min: 100 * msec, Max: 5 * min1,
				Doc: "How long connecting may take, and the TLS handshake again.", PeerC: "`net.connect_timeout`",
			},
			Field: func(a *AWS) any { return &a.ConnectTimeout },
		},
		{
			Spec: option.Spec{
				Name: "use_fips_endpoint", Aliases: []string{"fips"}, Kind: option.Bool, Default: "false",
				Doc: "Use the FIPS endpoints of AWS. AWS_USE_FIPS_ENDPOINT and the profile do the same, but give way to an endpoint.",
			},
			Field: func(a *AWS) any { return &a.FIPS },
		},
		{
			Spec: option.Spec{
				Name: "use_dualstack_endpoint", Aliases: []string{"dual_stack"}, Kind: option.Bool, Default: "false",
				Doc: "Use the endpoints with IPv6. AWS_USE_DUALSTACK_ENDPOINT and the profile do the same, but give way to an endpoint.",
			},
			Field: func(a *AWS) any { return &a.DualStack },
		},
		{
			Spec: option.Spec{
				Name: "proxy", Form: "http://, https:// or socks5:// with [user:password@]host[:port]", DefaultNote: "HTTPS_PROXY, NO_PROXY",
				Check: checkProxy, Secret: true, Hints: []string{"http_proxy"},
				Doc:   "Proxy for calls to AWS. Addresses of the machine itself and of its metadata services are reached directly.",
				PeerC: "HTTP_PROXY", PeerGo: "HTTPS_PROXY",
			},
			Field: func(a *AWS) any { return &a.Proxy },
		},
		{
			Spec: option.Spec{
				Name: "ca_file", Form: "path of a PEM file", DefaultNote: "AWS_CA_BUNDLE, else the system's", Hints: []string{"ca_bundle"},
				Doc:   "Certificate authorities to trust on the way to AWS.",
				PeerC: "`tls.ca_file`, which Fluent Bit does not pass on to plugins like this one",
			},
			Field: func(a *AWS) any { return &a.CAFile },
		},
		{
			Spec: option.Spec{
				Name: "verify_certificate", Opposites: []string{"skip_verify"}, Kind: option.Bool, Default: "true", Hints: []string{"tls_verify"},
				Doc: "Check the certificates of AWS. Off is for tests only.", PeerC: "`tls.verify`",
			},
			Field: func(a *AWS) any { return (*option.Not)(&a.SkipVerify) },
		},
		{
			Spec: option.Spec{
				Name: "startup_check", Default: CheckWarn, Enum: []string{CheckOff, CheckWarn, CheckRequire}, Off: CheckOff, On: CheckWarn,
				Renamed: map[string]string{"fail": CheckRequire},
				Doc:     "Look at the start whether the stream can be written to, without writing: warn logs what is missing, require refuses to start.",
				Details: "Needs no permission that writing does not need. A failure that may pass by itself (a network that is not up yet) never keeps the program from starting.",
			},
			Field: func(a *AWS) any { return &a.StartupCheck },
		},
		{
			Spec: option.Spec{
				Name: "wire_format", Default: string(awsclient.WireAuto), Enum: awsclient.WireFormats(), Words: awsclient.WireFormats(), Arg: "FORM",
				Hints: []string{"content_type", "protocol"},
				Doc:   "How requests are written: json; cbor, which needs a quarter fewer bytes because it has no base64; or auto, which is cbor where the endpoint has shown that it knows it.",
				Details: "ListShards and DescribeStreamSummary show it, before the first record goes. An endpoint that does not know CBOR is asked again after an hour. " +
					"It was not tried with AWS itself; `kplcat doctor --probe-write` tries it.",
				PeerC: "no option, JSON", PeerGo: "no option, JSON",
			},
			Field: func(a *AWS) any { return &a.WireFormat },
		},
		{
			Spec: option.Spec{
				Name: "extra_user_agent", Aliases: []string{"user_agent"}, Form: "words of a to z, digits and -._~/", Check: checkUserAgent,
				Doc: "Added to the user agent of requests.",
			},
			Field: func(a *AWS) any { return &a.ExtraUserAgent },
		},
	}
}

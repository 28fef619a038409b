// SPDX-License-Identifier: Apache-2.0

package remedy

import "regexp"

// The kinds.
const (
	NoCredentials    Kind = "no_credentials"
	SourceOutOfReach Kind = "credentials_out_of_reach"
	RoleRefused      Kind = "role_refused"
	Expired          Kind = "expired_credentials"
	Clock            Kind = "clock"
	WrongRegion      Kind = "wrong_region"
	WrongSignature   Kind = "wrong_signature"
	UnknownKey       Kind = "unknown_access_key"
	HeadersLost      Kind = "headers_lost"
	AccessDenied     Kind = "access_denied"
	KMSDenied        Kind = "kms_denied"
	KMSUnusable      Kind = "kms_key_unusable"
	KMSThrottled     Kind = "kms_throttled"
	NotSubscribed    Kind = "not_subscribed"
	NoStream         Kind = "no_stream"
	NotReady         Kind = "stream_not_ready"
	Throttled        Kind = "throttled"
	Capacity         Kind = "capacity"
	OwnLimit         Kind = "own_limit"
	ReadsThrottled   Kind = "reads_throttled"
	CallsThrottled   Kind = "calls_throttled"
	Degraded         Kind = "degraded"
	Invalid          Kind = "invalid"
	TooLarge         Kind = "request_too_large"
	UnknownAuthority Kind = "unknown_authority"
	WrongCertificate Kind = "wrong_certificate"
	NotTLS           Kind = "not_tls"
	DNS              Kind = "dns"
	ConnRefused      Kind = "connection_refused"
	Unreachable      Kind = "unreachable"
	Reset            Kind = "connection_reset"
	Timeout          Kind = "timeout"
	NoAnswer         Kind = "no_answer"
	ProxyLogin       Kind = "proxy_login"
	ForeignAnswer    Kind = "foreign_answer"
	CountMismatch    Kind = "count_mismatch"
	NothingTaken     Kind = "nothing_taken"
	RefusedAlone     Kind = "refused_alone"
	BufferFull       Kind = "buffer_full"
	Waiting          Kind = "waiting"
	DeadLetters      Kind = "dead_letters"
	JournalFailed    Kind = "journal"
	DiskFull         Kind = "disk_full"
	NotWritable      Kind = "not_writable"
	DeadLettersFull  Kind = "dead_letters_full"
	ProxyAddress     Kind = "proxy_address"
	NoRegion         Kind = "no_region"
	Unknown          Kind = "unknown"
)

var unknown = &Remedy{Kind: Unknown, Cause: "an answer that is not known here", Do: "nothing, if it passes: it is tried again; otherwise look the code up in the API reference of Kinesis"}

var table = []Remedy{
	{
		Kind: NoCredentials, Codes: []string{"NoCredentials"},
		Cause: "there are no credentials",
		Do: "give the instance, task or service account a role, set AWS_PROFILE or {profile}, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; " +
			"on EC2 in a container the hop limit of the metadata service has to be 2; an emulator takes any keys",
	},
	{
		Kind: SourceOutOfReach, refines: []Kind{NoCredentials},
		text:  regexp.MustCompile(`(?s)(STS|AssumeRole|assume role|SSO|endpoint|EC2 IMDS).*(no such host|connection refused|i/o timeout|deadline exceeded|network is unreachable|no route to host|Client\.Timeout)`),
		Cause: "what gives credentials (STS, SSO, the agent of the container or the metadata service) cannot be reached",
		Do:    "check the way to it: in a VPC without Internet access it takes a private endpoint for sts, or {sts_endpoint}; on EC2 in a container the hop limit of the metadata service has to be 2; without any role, set AWS_PROFILE or {profile}",
	},
	{
		Kind: RoleRefused, refines: []Kind{NoCredentials},
		text:  regexp.MustCompile(`(?s)(AssumeRole|assume role).*(AccessDenied|InvalidIdentityToken|not authorized)`),
		Cause: "the role may not be assumed",
		Do:    "name this caller, or the service account, in the trust policy of the role; check {role_arn} and {external_id}",
		Needs: "sts:AssumeRole",
	},
	{
		Kind: Clock, Codes: []string{"RequestExpired", "RequestTimeTooSkewed"}, refines: []Kind{WrongSignature, UnknownKey},
		text:  regexp.MustCompile(`(?i)signature (expired|not yet current)|clock skew|RequestTimeTooSkewed`),
		Cause: "the clock of this machine is wrong by more than 5 minutes",
		Do:    "set the clock and keep it right (chrony, systemd-timesyncd)",
	},
	{
		Kind: WrongRegion, refines: []Kind{WrongSignature, UnknownKey},
		text:  regexp.MustCompile(`(?i)scoped to a valid region|scoped to the region`),
		Cause: "calls are signed for another region than that of the endpoint",
		Do:    "make {region} and {endpoint} those of one region",
	},
	{
		Kind: Expired, Codes: []string{"ExpiredToken", "TokenRefreshRequired"},
		Cause: "the credentials have expired and are not renewed",
		Do: "renew them: log in again (aws sso login), or write new ones into the shared credentials file, which is read again without a restart; " +
			"those of environment variables are never renewed: use a role. If they are fresh, check the clock",
	},
	{
		Kind: UnknownKey, Codes: []string{"UnrecognizedClient", "InvalidClientTokenId", "InvalidAccessKeyId", "InvalidToken"},
		Cause: "the access key is not known",
		Do:    "it was deleted, is of another partition (aws, aws-cn, aws-us-gov), or misses its AWS_SESSION_TOKEN: make a new one, or use a role",
	},
	{
		Kind: WrongSignature, Codes: []string{"InvalidSignature", "SignatureDoesNotMatch"},
		Cause: "the signature is wrong",
		Do:    "check the secret key (blanks, a part missing, that of another access key), the clock, and that no proxy changes calls",
	},
	{
		Kind: HeadersLost, Codes: []string{"IncompleteSignature", "MissingAuthenticationToken"},
		Cause: "the signature is missing from the call",
		Do:    "something between here and AWS removes or changes headers: check {proxy} and {endpoint}",
	},
	{
		Kind: AccessDenied, Codes: []string{"AccessDenied", "NotAuthorized", "access_denied"},
		Cause: "a permission is missing",
		Do:    "allow {action} on the stream, in the IAM policy of the role or user, and if they exist in the stream's resource policy, the VPC endpoint's policy, permission boundaries and service control policies",
		Needs: "{action}",
	},
	{
		Kind: KMSDenied, Codes: []string{"KMSAccessDenied"},
		Cause: "the KMS key of the stream may not be used",
		Do:    "allow kms:GenerateDataKey on the stream's key (consumers: kms:Decrypt), in the IAM policy of the role or user and in the policy of the key",
		Needs: "kms:GenerateDataKey",
	},
	{
		Kind: KMSUnusable, Codes: []string{"KMSDisabled", "KMSInvalidState", "KMSNotFound", "KMSOptInRequired"},
		Cause: "the KMS key of the stream is disabled, is being deleted, or is gone",
		Do:    "enable the key, cancel its deletion, or encrypt the stream with another key (aws kinesis start-stream-encryption)",
	},
	{
		Kind: KMSThrottled, Codes: []string{"KMSThrottling"},
		Cause: "KMS takes no more calls of the account",
		Do:    "nothing, if it passes: it is tried again; otherwise raise the KMS quota of the account",
	},
	{
		Kind: NotSubscribed, Codes: []string{"OptInRequired"},
		Cause: "the account is not subscribed to Kinesis in this region",
		Do:    "sign the account up for Kinesis, enable the region, or correct {region}",
	},
	{
		Kind: NoStream, Codes: []string{"ResourceNotFound", "stream_not_found"},
		Cause: "there is no such stream in this region and account",
		Do:    "correct {region} or {stream}, or create the stream; aws kinesis list-streams shows those of a region. A stream of another account is given by its ARN",
	},
	{
		Kind: NotReady, Codes: []string{"ResourceInUse", "CREATING", "DELETING"},
		Cause: "the stream is being created, changed or deleted",
		Do:    "wait until it is ACTIVE (aws kinesis wait stream-exists); create it again if it was deleted",
	},
	{
		Kind: Throttled, Codes: []string{"ProvisionedThroughputExceeded", "throttled"},
		Cause: "a shard is at its limit",
		Do:    "add shards (aws kinesis update-shard-count), or make {partition_key} more varied, or leave it out; nothing is lost meanwhile",
	},
	{
		Kind: Capacity, Codes: []string{"capacity"},
		Cause: "the shards have no room: the stream is too small for what is written to it",
		Do:    "add shards (aws kinesis update-shard-count; shards_that_would_do is how many there should be), or make the stream ON_DEMAND; if few shards are full and others are not, make {partition_key} more varied, or leave it out",
	},
	{
		Kind:  OwnLimit,
		Cause: "records wait for the limit that this producer is given of the shards",
		Do:    "raise {rate_limit} or {shard_limit_bytes} if the shards have room, or add shards (aws kinesis update-shard-count)",
	},
	{
		Kind:  ReadsThrottled,
		Cause: "consumers read as much of a shard as it gives",
		Do:    "look at the metric ReadProvisionedThroughputExceeded and at the number of consumers; give them enhanced fan-out, or add shards",
	},
	{
		Kind: CallsThrottled, Codes: []string{"LimitExceeded", "Throttling", "RequestLimitExceeded"},
		Cause: "the account makes more calls a second than AWS allows",
		Do:    "nothing, if it passes: it is tried again; otherwise find out who calls so often, or have the quota raised",
	},
	{
		Kind: Degraded, Codes: []string{"InternalFailure", "InternalServerError", "ServiceUnavailable"},
		Cause: "Kinesis has a failure of its own",
		Do:    "nothing, if it passes: it is tried again; otherwise look at the AWS Health Dashboard",
	},
	{
		Kind: Invalid, Codes: []string{"Validation", "ValidationError", "InvalidArgument", "Serialization", "invalid"},
		Cause: "Kinesis takes a record or a request for invalid",
		Do:    "the text says which part; if all requests are refused, check {endpoint}: it may not be Kinesis",
	},
	{
		Kind: TooLarge, Codes: []string{"RequestEntityTooLarge", "HTTP413"},
		Cause: "something on the way refuses large requests",
		Do:    "raise the limit of the proxy to 2 MiB (nginx: client_max_body_size), or correct {proxy} and {endpoint}",
	},
	{
		Kind: UnknownAuthority, refines: []Kind{NoAnswer, NoCredentials}, is: isUnknownAuthority,
		text:  regexp.MustCompile(`certificate signed by unknown authority|failed to load system roots`),
		Cause: "the certificate is of an authority that is not known here",
		Do:    "install ca-certificates; if a proxy looks into TLS, or the endpoint has a certificate of its own, put the authority into a PEM file and set {ca_file}",
	},
	{
		Kind: WrongCertificate, refines: []Kind{NoAnswer, NoCredentials}, is: isWrongCertificate,
		text:  regexp.MustCompile(`x509: (certificate is valid for|certificate is not valid|certificate has expired|cannot validate)`),
		Cause: "the certificate is for another host, or out of date",
		Do:    "check {endpoint}, DNS, {proxy} and the clock",
	},
	{
		Kind: NotTLS, refines: []Kind{NoAnswer}, is: isNotTLS,
		text:  regexp.MustCompile(`server gave HTTP response to HTTPS client|first record does not look like a TLS handshake`),
		Cause: "the endpoint does not speak TLS",
		Do:    "begin {endpoint} with http://, or give the port that speaks TLS",
	},
	{
		Kind: DNS, refines: []Kind{NoAnswer}, is: isDNS,
		text:  regexp.MustCompile(`no such host|server misbehaving|dial tcp: lookup `),
		Cause: "the name of the endpoint is not found",
		Do: "check {region}, {endpoint} and the resolver; in a VPC without Internet access it takes a private endpoint for kinesis-streams with private DNS; " +
			"if there is a proxy, set {proxy}",
	},
	{
		Kind: ConnRefused, refines: []Kind{NoAnswer}, is: isRefused,
		text:  regexp.MustCompile(`connection refused`),
		Cause: "nothing listens at the endpoint",
		Do:    "check host and port of {endpoint} and {proxy}, and whether that service runs",
	},
	{
		Kind: Unreachable, refines: []Kind{NoAnswer}, is: isUnreachable,
		text:  regexp.MustCompile(`network is unreachable|no route to host|cannot assign requested address`),
		Cause: "there is no way to the endpoint",
		Do:    "check the network of the machine, routes and subnets (NAT gateway or VPC endpoint); if there is a proxy, set {proxy}",
	},
	{
		Kind: Reset, refines: []Kind{NoAnswer}, is: isReset,
		text:  regexp.MustCompile(`connection reset by peer|broken pipe|unexpected EOF|(?:: EOF)$`),
		Cause: "the connection was cut",
		Do:    "nothing, if it passes: it is tried again; otherwise check {proxy}, firewalls and load balancers on the way",
	},
	{
		Kind: Timeout, refines: []Kind{NoAnswer}, is: isTimeout,
		text:  regexp.MustCompile(`no answer within|deadline exceeded|i/o timeout|TLS handshake timeout|Client\.Timeout`),
		Cause: "there is no answer in time",
		Do:    "check security groups, network ACLs and firewalls for outbound port 443, the VPC endpoint and {proxy}; if the way is only slow, raise {request_timeout}",
	},
	{
		Kind:  ProxyAddress,
		Cause: "the address of the proxy is not valid",
		Do:    "check {proxy}: it takes a URL such as http://proxy:3128",
	},
	{
		Kind:  NoRegion,
		Cause: "the region has no endpoint",
		Do:    "check {region}",
	},
	{
		Kind: NoAnswer, Codes: []string{"RequestFailed"},
		Cause: "there is no answer",
		Do:    "check the network, {endpoint} and {proxy}",
	},
	{
		Kind: ProxyLogin, Codes: []string{"HTTP407", "HTTP511"}, refines: []Kind{NoAnswer}, text: regexp.MustCompile(`Proxy Authentication Required`),
		Cause: "the proxy or network wants a login",
		Do:    "write user and password into {proxy}",
	},
	{
		Kind: ForeignAnswer, Codes: []string{"HTTP", "UnknownError"},
		Cause: "the answer is not one of Kinesis, but of something on the way to it",
		Do:    "check {endpoint} and {proxy}",
	},
	{
		Kind: CountMismatch, Codes: []string{"Record Count Mismatch", "count_mismatch"},
		Cause: "the answer has another number of results than records were sent",
		Do:    "check {endpoint} and {proxy}: the service there is not Kinesis, or something on the way changes answers",
	},
	{
		Kind: NothingTaken, Codes: []string{"refused"},
		Cause: "Kinesis takes no record at all of this stream",
		Do:    "correct {stream}, {region} or {endpoint}",
	},
	{
		Kind: RefusedAlone, Codes: []string{"refused_alone"},
		Cause: "Kinesis or a proxy refuses this record, and nothing else was sent to the stream that could say why",
		Do:    "send anything else to the stream, or set {dead_letter_file} to have it kept there; it is tried again",
	},
	{
		Kind: BufferFull, Codes: []string{"not_accepted"},
		Cause: "the buffer is full, because Kinesis takes events more slowly than they come",
		Do:    "add shards, or raise {buffer_size}; the lines before this one say what Kinesis lacks",
	},
	{
		Kind: Waiting, Codes: []string{"waiting", "unconfirmed"},
		Cause: "Kinesis has not confirmed the records in time",
		Do:    "the lines before this one say what it lacks; if there are none, raise {flush_timeout}",
	},
	{
		Kind: DeadLetters, Codes: []string{"dead_letter"},
		Cause: "the dead letter file cannot be written",
		Do:    "make room for it, or correct {dead_letter_file}; its events are tried again until they can be kept",
	},
	{
		Kind: JournalFailed, Codes: []string{"journal"},
		Cause: "the journal cannot be written",
		Do:    "make room for it, or correct {journal_dir}; delivery goes on, but after a crash contents may be written twice",
	},
	{
		Kind: DiskFull, refines: []Kind{DeadLetters, JournalFailed}, is: isDiskFull,
		text:  regexp.MustCompile(`no space left on device|disk quota exceeded`),
		Cause: "the disk is full",
		Do:    "free space, or put {dead_letter_file} and {journal_dir} on another disk; nothing is lost: it is tried again",
	},
	{
		Kind: DeadLettersFull, refines: []Kind{DeadLetters},
		text:  regexp.MustCompile(`dead letter files are full`),
		Cause: "there are as many full dead letter files as may be",
		Do:    "look at them with kpl-replay, take away what is done with, or raise {dead_letter_max_files}; nothing is lost: it is tried again",
	},
	{
		Kind: NotWritable, refines: []Kind{DeadLetters, JournalFailed}, is: isReadOnly,
		text:  regexp.MustCompile(`read-only file system|permission denied`),
		Cause: "the file system is read-only, or this user may not write there",
		Do:    "mount it writable, give the user of this process the right to write, or correct {dead_letter_file} and {journal_dir}",
	},
}

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/outkpl/outkpl/internal/option"
)

const minimal = "route:\n  stream: logs\n"

func loadText(t *testing.T, text string, env, args []string) (*Config, string) {
	t.Helper()
	c, err := load(Sources{File: "f.yaml", Environ: env, Args: args}, []byte(text))
	if err != nil {
		return nil, err.Error()
	}
	return c, ""
}

func TestDefaultsAreValidAndInRange(t *testing.T) {
	c, problems := loadText(t, minimal, nil, nil)
	if problems != "" {
		t.Fatalf("unexpected problems; got %s; want none", problems)
	}
	if c.Route.AckTimeout != 9*time.Second || c.Server.Listen != "127.0.0.1:8080" || c.Limits.BodyMaxBytes != 64<<20 {
		t.Errorf("unexpected defaults; got %+v; want ack 9s on loopback with 64 MiB", c)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	text := minimal + "log:\n  level: warn\nserver:\n  max_connections: 7\n  http2: true\n"
	c, problems := loadText(t, text,
		[]string{"KPL_HTTP_LOG_LEVEL=error", "KPL_HTTP_SERVER_MAX_CONNECTIONS=8", "OTHER=1", "KPL_HTTP_ROUTE_STREAMS=a-*, b"},
		[]string{"--log.level=debug", "--server.http2=false"})
	if problems != "" {
		t.Fatalf("unexpected problems; got %s; want none", problems)
	}
	if c.Log.Level != "debug" || c.Server.MaxConnections != 8 || c.Server.HTTP2 {
		t.Errorf("unexpected values; got %s, %d, %v; want debug, 8, false", c.Log.Level, c.Server.MaxConnections, c.Server.HTTP2)
	}
	if want := []string{"a-*", "b"}; !reflect.DeepEqual(c.Route.Streams, want) {
		t.Errorf("unexpected streams; got %q; want %q", c.Route.Streams, want)
	}
}

func TestRoutesStartFromRoute(t *testing.T) {
	text := "route: {stream: logs, ack_timeout: 20s}\nroutes:\n" +
		"- match: /streams/a-*\n  partition_key: user->id\n- match: /x\n  ack_timeout: 50s\n  streams: [x]\n"
	c, problems := loadText(t, text, []string{"KPL_HTTP_ROUTE_LOG_KEY=msg"}, nil)
	if problems != "" {
		t.Fatalf("unexpected problems; got %s; want none", problems)
	}
	a, b := c.Routes[0], c.Routes[1]
	if a.AckTimeout != 20*time.Second || a.PartitionKey != "user->id" || a.LogKey != "msg" || a.Match != "/streams/a-*" {
		t.Errorf("unexpected first route; got %+v; want what route says, with its own key", a)
	}
	if b.AckTimeout != 50*time.Second || b.Stream != "logs" || b.PartitionKey != "" || len(b.Streams) != 1 {
		t.Errorf("unexpected second route; got %+v; want its own ack_timeout and streams", b)
	}
}

// Every mistake is reported, with its place, key, value, and what is allowed.
func TestAllProblemsAtOnce(t *testing.T) {
	text := "server:\n  lissten: :80\n  idle_timeout: 5\n  max_connections: 0\nlimts: {}\n" +
		"route:\n  too_large: drp\n  partition_key: a->\n  streams: [\"[\"]\nroutes:\n- ack_timeout: 1h\nack_timeout: 3s\n"
	_, got := loadText(t, text, []string{"KPL_HTTP_LOG_LEVVEL=x"}, []string{"--tls.min_version=1.1", "--nope=1", "stray"})
	for _, want := range []string{
		"f.yaml:2:3: server.lissten: no such key; did you mean listen?",
		`f.yaml:3:17: server.idle_timeout: "5": not a duration such as 250ms, 9s or 2m; allowed: 1s to 1h`,
		`f.yaml:4:20: server.max_connections: "0": out of range; allowed: 1 to 1000000`,
		"f.yaml:5:1: limts: no such key; did you mean limits?",
		`f.yaml:7:14: route.too_large: "drp": not one of the allowed words; allowed: auto, drop, dead_letter or reject; did you mean drop?`,
		`f.yaml:8:18: route.partition_key: "a->": `,
		`route.streams: "[": `,
		`f.yaml:11:16: routes[0].ack_timeout: "1h": out of range; allowed: 100ms to 10m`,
		"routes[0].match: missing",
		"f.yaml:12:1: ack_timeout: no such key; did you mean ack_timeout below route?",
		"environment KPL_HTTP_LOG_LEVVEL: no such option; did you mean KPL_HTTP_LOG_LEVEL?",
		`flag --tls.min_version: tls.min_version: "1.1"`,
		"flag --nope=1: no such option",
		`unexpected argument "stray"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing problem %q; got:\n%s", want, got)
		}
	}
}

const someARN = "arn:aws:kinesis:us-east-1:123456789012:stream/logs"

func TestDeadLettersMayGoToAnotherStream(t *testing.T) {
	for _, text := range []string{
		"route: {stream: logs, streams: [\"*\"]}\ndead_letter: {stream: dead}",
		"route: {stream: \"" + someARN + "\"}\ndead_letter: {stream: \"" + strings.Replace(someARN, "1234", "4321", 1) + "\"}",
	} {
		if _, problems := loadText(t, text, nil, nil); problems != "" {
			t.Errorf("unexpected problems of %s; got %s; want none", text, problems)
		}
	}
}

func TestSettingsThatDoNotGoTogether(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no stream at all", "log: {level: info}", "neither route.stream nor route.streams"},
		{"certificate without key", minimal + "tls: {cert_file: a}", "f.yaml:3:18: tls.cert_file: tls.cert_file and tls.key_file go together"},
		{"client authority without certificate", minimal + "tls: {client_ca_file: a}", "needs tls.cert_file"},
		{"dead letters without a place", "route: {stream: a, too_large: dead_letter}", "needs dead_letter.file or dead_letter.stream"},
		{"two places", minimal + "dead_letter: {file: a, stream: b}", "exclude each other"},
		{"dead letters among events", "route: {stream: logs}\ndead_letter: {stream: logs}", "f.yaml:2:23: dead_letter.stream: \"logs\": that of route.stream, whose consumers would take dead letters for events; allowed: another stream, or dead_letter.file instead"},
		{"dead letters among events, by the ARN", "route: {stream: \"" + someARN + "\"}\ndead_letter: {stream: logs}", "\"logs\": that of route.stream, whose"},
		{"dead letters among events, by its ARN", minimal + "dead_letter: {stream: \"" + someARN + "\"}", "that of route.stream, whose"},
		{"dead letters among events of a path", "route: {stream: a}\nroutes:\n- match: /a\n- match: /b\n  stream: logs\ndead_letter: {stream: logs}", "\"logs\": that of routes[1].stream, whose"},
		{"dead letters among events that requests name", "route: {stream: a, streams: [\"x-*\", logs]}\ndead_letter: {stream: logs}", "\"logs\": that of route.streams, whose"},
		{"memory below one body", minimal + "limits: {memory: 64MiB}", "would never be let in"},
		{"a level of another compression", "route: {stream: a, compression: gzip, compression_level: 10}", "route.compression_level: \"10\": out of range; allowed with compression gzip: 1 to 9"},
		{"a level for none", "route: {stream: a, compression: snappy, compression_level: 1}", "has no levels"},
		{"a compression that is none", "route: {stream: a, compression: lz4}", "none, gzip, zlib, zstd or snappy"},
		{"linger above a quarter of the shortest answer", minimal + "producer: {linger: 2s}\nroutes: [{match: /a, ack_timeout: 6s}, {match: /b}]", `producer.linger: "2s": is above a quarter of routes[0].ack_timeout; allowed: at most 1.5s`},
		{"linger that is no time", minimal + "producer: {linger: always}", "allowed: 1ms to 1m; 0: no wait; auto: as long as it fills records, at most 200ms"},
		{"backoff upside down", minimal + "producer: {retry_backoff_min: 10s}", "is above producer.retry_backoff_max; allowed: at most 5s"},
		{"one address twice", minimal + "server: {listen: \"127.0.0.1:1\", admin_listen: \"127.0.0.1:1\"}", "another one, or off"},
		{"address of Vector's protocol twice", minimal + "native: {listen: \"127.0.0.1:8080\"}", "native.listen: \"127.0.0.1:8080\": the address of server.listen"},
		{"address of OTLP over gRPC twice", minimal + "otlp_grpc: {listen: \"127.0.0.1:8081\"}", "otlp_grpc.listen: \"127.0.0.1:8081\": the address of server.admin_listen"},
		{"Vector's protocol open beside credentials", minimal + "native: {listen: \":6000\"}\nauth: {bearer_env: T}", "native.credentials: \"false\": lets in"},
		{"Vector's protocol open with optional certificates", minimal + "native: {listen: \":6000\"}\nauth: {bearer_env: T}\ntls: {cert_file: a, key_file: b, client_ca_file: c, client_auth: optional}", "native.credentials: \"false\": lets in"},
		{"nothing measured for CloudWatch", minimal + "metrics: {level: none, cloudwatch: true}", "leaves nothing for metrics.cloudwatch"},
		{"half a second", minimal + "metrics: {cloudwatch_interval: 1500ms}", "not a whole number of seconds"},
		{"a namespace of AWS", minimal + "metrics: {cloudwatch_namespace: AWS/Kinesis}", "not a namespace"},
		{"an agent without a port", minimal + "metrics: {dogstatsd: localhost}", "not of the form host:port"},
		{"a pattern twice", minimal + "routes:\n- match: /a\n- match: /a\n", "that of routes[0], which wins"},
		{"no stream but for a path, which others lack", "routes:\n- match: /a\n  stream: a\n- match: /b\n", "f.yaml:4:10: routes[1].stream: neither routes[1].stream nor routes[1].streams"},
		{"a pattern that never fits", minimal + "routes:\n- match: streams/a\n", "begins with /"},
		{"a proxy with a password", minimal + "aws: {proxy: \"http://u:hush@h:1\"}", "use the environment variable HTTPS_PROXY"},
		{"FIPS beside an endpoint", minimal + "aws: {fips: true, endpoint: \"http://h:1\"}", "f.yaml:3:13: aws.use_fips_endpoint: it chooses among the endpoints of AWS, but aws.endpoint is set; allowed: one or the other"},
		{"dual stack beside an endpoint", minimal + "aws: {dual_stack: true, endpoint: h}", "aws.use_dualstack_endpoint: it chooses"},
		{"an external id without a role", minimal + "aws: {external_id: x}", "f.yaml:3:20: aws.external_id: it is only sent when a role is assumed, but aws.role_arn is not set"},
		{"two documents", minimal + "---\n" + minimal, "more than one document"},
		{"not YAML", "a: [", "f.yaml:1:"},
		{"a key twice", "route: {stream: a}\nroute: {stream: b}\n", "f.yaml:2:"},
		{"an alias", "route: &a {stream: a}\n", "not a mapping"},
		{"a list for a word", "route: {stream: [a]}", "a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got := loadText(t, c.text, nil, nil); !strings.Contains(got, c.want) {
				t.Errorf("unexpected problems; got %q; want %q in them", got, c.want)
			}
		})
	}
}

// A value that is refused hides no other problem, and does not make up another one.
func TestProblemsOfSettingsTogetherComeWithTheOthers(t *testing.T) {
	const pair = "tls: {cert_file: a}\n"
	const wantPair = "tls.cert_file and tls.key_file go together"
	for _, c := range []struct {
		name, text string
		args       []string
		want, not  string
	}{
		{"beside a bad value", "route: {stream: logs, ack_timeout: 1}\n" + pair, nil, wantPair, "route.stream"},
		{"not what the bad value is part of", "route: {stream: \"a b\"}\n" + pair, nil, wantPair, "neither"},
		{"not what a misspelt key may say", "route: {steam: logs}\n" + pair, nil, wantPair, "neither"},
		{"not behind a group that is none", "route: logs\n" + pair, nil, wantPair, "neither"},
		{"nothing where whole groups may be missing", "rout: {stream: logs}\n" + pair, nil, "no such key", "go together"},
		{"nothing beside a flag that is none", pair, []string{"--route.steam=logs"}, "no such option", "go together"},
		{"a bad pattern is there", minimal + "routes:\n- match: a\n- match: /b\n  malformed: dead_letter\n", nil, "f.yaml:6:14: routes[1].malformed: \"dead_letter\": needs", "missing"},
		{"not for entries with other numbers", minimal + "routes:\n- x\n- match: /b\n  malformed: dead_letter\n", nil, "routes[0]: not a mapping", "needs"},
		{"once for all entries that have it from route", "route: {stream: a, malformed: dead_letter}\nroutes:\n- match: /a\n", nil, "route.malformed: \"dead_letter\": needs", "routes[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got := loadText(t, c.text, nil, c.args)
			if !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
				t.Errorf("unexpected problems; got %q; want %q in them and not %q", got, c.want, c.not)
			}
		})
	}
}

// A hint names an option that exists, wherever it is.
func TestHintsComeFromTheTables(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"producer: {compression: gzip}", "producer.compression: no such key; did you mean compression below route?"},
		{"route.stream: logs", "f.yaml:1:1: route.stream: no such key; write route: {stream: logs}"},
		{"server.listen: ':80'", "f.yaml:1:1: server.listen: no such key; write server: {listen: ':80'}"},
		{"route.too_large: drop", "f.yaml:1:1: route.too_large: no such key; write route: {oversize: drop}"},
		{"route.streams:\n- a\n- b", "f.yaml:1:1: route.streams: no such key; write route: {streams: ...}"},
		{"aws.endpoint: http://u:hush@h", "f.yaml:1:1: aws.endpoint: no such key; write aws: {endpoint: http://...@h}"},
		{"route: {streem: a}", "route.streem: no such key; did you mean stream?"},
		{"server: {port: 80}", "server.port: no such key; did you mean server.listen?"},
		{"kinesis: {region: a}", "kinesis: no such key; did you mean aws?"},
		{"log_level: debug", "log_level: no such key; did you mean log.level?"},
		{"route: {timeout: 1s}", "route.timeout: no such key; did you mean route.ack_timeout?"},
		{"token: a", "token: no such key; did you mean auth.bearer_files?"},
		{"route: {stream_name: a}", "route.stream_name: no such key; did you mean route.stream?"},
	} {
		if _, got := loadText(t, c.text, nil, nil); !strings.Contains(got, c.want+"\n") && !strings.HasSuffix(got, c.want) {
			t.Errorf("unexpected problems of %s; got %s; want one with %s", c.text, got, c.want)
		}
	}
	if _, got := loadText(t, minimal, nil, []string{"--compression=gzip", "--route.compresion=gzip"}); strings.Count(got, "did you mean route.compression?") != 2 {
		t.Errorf("unexpected problems of flags; got %s; want route.compression in both", got)
	}
}

// Other names set the same option from each source, and leave a line for the log.
func TestOtherNamesOfOptions(t *testing.T) {
	text := "route: {stream: logs, too_large: drop}\nroutes: [{match: /a, too_large: reject}]\naws: {fips: true, skip_verify: true, startup_check: fail}\n"
	c, problems := loadText(t, text, []string{"KPL_HTTP_PRODUCER_SHARD_RECORDS_LIMIT=7"}, []string{"--producer.http_request_timeout=2s", "--aws.user_agent=me"})
	if problems != "" {
		t.Fatalf("unexpected problems; got %s; want none", problems)
	}
	got := fmt.Sprint(c.Route.TooLarge, c.Routes[0].TooLarge, c.AWS.FIPS, c.AWS.SkipVerify, c.AWS.StartupCheck, c.Producer.ShardRecords, c.Producer.RequestTimeout, c.AWS.ExtraUserAgent)
	if want := fmt.Sprint("drop", "reject", true, true, "require", 7, 2*time.Second, "me"); got != want {
		t.Errorf("unexpected values; got %s; want %s", got, want)
	}
	notes := strings.Join(c.Notes, "\n")
	for _, want := range []string{
		"f.yaml:1:34: route.too_large is an alias of route.oversize; write route.oversize",
		"f.yaml:2:33: routes[0].too_large is an alias of oversize; write oversize",
		"f.yaml:3:13: aws.fips is an alias of aws.use_fips_endpoint; write aws.use_fips_endpoint",
		"f.yaml:3:32: aws.skip_verify is the opposite of aws.verify_certificate; write aws.verify_certificate",
		"f.yaml:3:53: aws.startup_check the word fail is called require now",
		"environment KPL_HTTP_PRODUCER_SHARD_RECORDS_LIMIT: producer.shard_records_limit is an alias of producer.shard_limit_records; write producer.shard_limit_records",
		"flag --producer.http_request_timeout: producer.http_request_timeout is an alias of producer.request_timeout; write producer.request_timeout",
		"flag --aws.user_agent: aws.user_agent is an alias of aws.extra_user_agent; write aws.extra_user_agent",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("missing note %q; got\n%s", want, notes)
		}
	}
	if len(c.Notes) != 8 {
		t.Errorf("unexpected number of notes; got %d; want 8", len(c.Notes))
	}
	_, problems = loadText(t, minimal+"aws: {fips: true, use_fips_endpoint: false}", nil, nil)
	if !strings.Contains(problems, "aws.use_fips_endpoint: given under two names, with aws.fips; allowed: one of them") {
		t.Errorf("unexpected problems of two names at once; got %q", problems)
	}
}

func TestTwoNamesInOneSourceAreRefused(t *testing.T) {
	for _, c := range []struct{ env, flags, want string }{
		{
			flags: "--route.too_large=drop --route.oversize=reject",
			want:  "flag --route.oversize: route.oversize: given under two names, with route.too_large; allowed: one of them",
		},
		{
			flags: "-route.oversize=drop --route.too_large=drop",
			want:  "flag --route.too_large: route.too_large: given under two names, with route.oversize; allowed: one of them",
		},
		{
			flags: "--aws.verify_certificate --aws.skip_verify",
			want:  "flag --aws.skip_verify: aws.skip_verify: given under two names, with aws.verify_certificate; allowed: one of them",
		},
		{
			env:  "KPL_HTTP_PRODUCER_REQUEST_TIMEOUT=1s KPL_HTTP_PRODUCER_HTTP_REQUEST_TIMEOUT=2s",
			want: "environment KPL_HTTP_PRODUCER_REQUEST_TIMEOUT: producer.request_timeout: given under two names, with producer.http_request_timeout; allowed: one of them",
		},
		{
			env:  "KPL_HTTP_ROUTE_TOO_LARGE=drop KPL_HTTP_ROUTE_OVERSIZE=reject",
			want: "environment KPL_HTTP_ROUTE_TOO_LARGE: route.too_large: given under two names, with route.oversize; allowed: one of them",
		},
		{env: "KPL_HTTP_ROUTE_TOO_LARGE=drop", flags: "--route.oversize=reject"},
		{flags: "--route.oversize=drop --route.oversize=reject"},
	} {
		cfg, problems := loadText(t, minimal, strings.Fields(c.env), strings.Fields(c.flags))
		if problems != c.want {
			t.Errorf("unexpected problems of %s %s; got %q; want %q", c.env, c.flags, problems, c.want)
		}
		if c.want == "" && problems == "" && cfg.Route.TooLarge != Reject {
			t.Errorf("unexpected value of %s %s; got %s; want %s", c.env, c.flags, cfg.Route.TooLarge, Reject)
		}
	}
}

func TestByteOrderMarkBeforeTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte("\ufeffroute: {stream: logs}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(Sources{File: path}); err != nil || c.Route.Stream != "logs" {
		t.Errorf("unexpected end; got %v, %v; want the stream logs", c, err)
	}
}

func TestStreamsMayBeThoseOfPathsAlone(t *testing.T) {
	c, problems := loadText(t, "routes:\n- match: /a\n  stream: a\n- match: /b\n  streams: [\"b-*\"]\n", nil, nil)
	if problems != "" || len(c.Routes) != 2 || c.Route.Stream != "" {
		t.Errorf("unexpected end; got %+v, problems %q; want two routes and no stream for other paths", c, problems)
	}
}

// The ARN of a stream says its region; what says another one would write to a stream of the
// same name elsewhere.
func TestRegionOfARNs(t *testing.T) {
	arn := func(region, name string) string { return "arn:aws:kinesis:" + region + ":123456789012:stream/" + name }
	for _, c := range []struct {
		name, text string
		region     string
		problem    string
	}{
		{"taken from the stream", "route: {stream: '" + arn("eu-west-1", "a") + "'}", "eu-west-1", ""},
		{"the same", "aws: {region: eu-west-1}\nroute: {stream: '" + arn("eu-west-1", "a") + "'}", "eu-west-1", ""},
		{"names have none", "route: {stream: a}", "", ""},
		{
			"another one", "aws: {region: us-east-1}\nroute: {stream: '" + arn("eu-west-1", "a") + "'}", "",
			"route.stream: \"" + arn("eu-west-1", "a") + "\": in the region eu-west-1, but aws.region says us-east-1",
		},
		{"of an entry of routes", "routes: [{match: /x, stream: '" + arn("eu-west-1", "a") + "'}]\nroute: {stream: b}", "eu-west-1", ""},
		{
			"two that differ", "routes: [{match: /x, stream: '" + arn("eu-west-1", "a") + "'}]\nroute: {stream: '" + arn("us-east-1", "b") + "'}", "",
			"routes[0].stream: \"" + arn("eu-west-1", "a") + "\": in the region eu-west-1, but route.stream says us-east-1",
		},
		{
			"of dead letters", "dead_letter: {stream: '" + arn("eu-west-1", "a") + "'}\nroute: {stream: '" + arn("us-east-1", "b") + "'}", "",
			"dead_letter.stream: \"arn",
		},
		{"one problem for one mistake", "aws: {region: 'EU!'}\nroute: {stream: '" + arn("eu-west-1", "a") + "'}", "", "aws.region: \"EU!\": "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, problems := loadText(t, c.text, nil, nil)
			if c.problem != "" {
				if !strings.Contains(problems, c.problem) || strings.Count(problems, "\n") > 0 {
					t.Errorf("unexpected problems; got %s; want one with %q", problems, c.problem)
				}
				return
			}
			if problems != "" || cfg.AWS.Region != c.region {
				t.Errorf("unexpected outcome; got %s, %+v; want the region %q", problems, cfg, c.region)
			}
		})
	}
}

func TestVariablesWithSecretsAreNoOptions(t *testing.T) {
	c, problems := loadText(t, minimal, []string{"KPL_HTTP_TOKENS=hush", "KPL_HTTP_CONFIG=f"}, []string{"--auth.bearer_env=KPL_HTTP_TOKENS"})
	if problems != "" {
		t.Fatalf("unexpected problems; got %s; want none", problems)
	}
	var out bytes.Buffer
	if err := c.Print(&out); err != nil || strings.Contains(out.String(), "hush") {
		t.Errorf("unexpected secret in print; error %v", err)
	}
}

func TestPrintReadsBackTheSame(t *testing.T) {
	text := minimal + "  streams: [a*, b]\ntls: {min_version: 1.3}\nserver: {idle_timeout: 1m30s}\nroutes:\n- match: /streams/b\n  keep_empty_lines: true\n  retry_after: 90s\n"
	first, problems := loadText(t, text, nil, []string{"--limits.memory=300MB"})
	if problems != "" {
		t.Fatalf("unexpected problems; got %s; want none", problems)
	}
	var out bytes.Buffer
	if err := first.Print(&out); err != nil {
		t.Fatal(err)
	}
	second, problems := loadText(t, out.String(), nil, nil)
	if problems != "" {
		t.Fatalf("unexpected problems in what was printed; got %s\n%s", problems, out.String())
	}
	first.origins, second.origins = nil, nil
	if len(second.Route.Streams) == 0 || !reflect.DeepEqual(normal(first), normal(second)) {
		t.Errorf("unexpected configuration; got %+v; want %+v", second, first)
	}
	if !strings.Contains(out.String(), "# flag --limits.memory") || !strings.Contains(out.String(), "# f.yaml:2:11") {
		t.Errorf("missing origins; got:\n%s", out.String())
	}
}

// normal makes empty and missing lists equal.
func normal(c *Config) string { return fmt.Sprintf("%+v", *c) }

func TestOptionsAreComplete(t *testing.T) {
	seen := map[any]string{}
	for _, o := range Options() {
		if o.Doc == "" || !strings.HasSuffix(o.Doc, ".") {
			t.Errorf("option %s has no sentence", o.Name)
		}
		if o.Kind >= option.Int && o.Kind <= option.Duration && (o.Max == 0 || o.Default == "") {
			t.Errorf("option %s has no range or no default", o.Name)
		}
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*\.[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(o.Name) {
			t.Errorf("unexpected key %q", o.Name)
		}
		// Each option has a field of its own: setting one must not change another.
		var probe Config
		p := o.Field(&probe)
		reflect.ValueOf(p).Elem().Set(nonZero(reflect.TypeOf(p).Elem()))
		key := fmt.Sprintf("%+v", probe)
		if other := seen[key]; other != "" {
			t.Errorf("options %s and %s share a field", o.Name, other)
		}
		seen[key] = o.Name
	}
}

func nonZero(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("probe")
	case reflect.Slice:
		v = reflect.MakeSlice(t, 3, 3)
	default:
		v.SetInt(77)
	}
	return v
}

func TestSchemaAgreesWithLoad(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("kpl-http.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("kpl-http.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) error {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		js, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		inst, err := jsonschema.UnmarshalJSON(bytes.NewReader(js))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(inst)
	}
	shipped, err := os.ReadFile("../../../conf/kpl-http.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"minimal", minimal, true},
		{"the shipped file", string(shipped), true},
		{"numbers for sizes and words for times", minimal + "limits: {memory: 300000000, admission_timeout: 0}\nserver: {idle_timeout: 1m30s}", true},
		{"other names of options", minimal + "  too_large: drop\naws: {fips: true, skip_verify: false, startup_check: fail}", true},
		{"a version that looks like a number", minimal + "tls: {min_version: 1.3}", true},
		{"an unknown key", minimal + "sever: {}", false},
		{"an unknown key in a group", minimal + "  sream: x", false},
		{"a count out of range", minimal + "server: {max_connections: 0}", false},
		{"a word that is not allowed", minimal + "  too_large: maybe", false},
		{"a time without a unit", minimal + "server: {idle_timeout: 90}", false},
		{"a route without match", minimal + "routes: [{keep_empty_lines: true}]", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := check(c.text)
			_, problems := loadText(t, c.text, nil, nil)
			if (err == nil) != c.ok || (problems == "") != c.ok {
				t.Errorf("unexpected results; got schema %v, load %q; want valid: %v", err, problems, c.ok)
			}
		})
	}
}

func TestDocumentedTableIsTheTable(t *testing.T) {
	text, err := os.ReadFile("../../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- options: begin -->\n", "<!-- options: end -->"
	_, rest, _ := strings.Cut(string(text), begin)
	got, _, found := strings.Cut(rest, end)
	if !found || got != Markdown() {
		t.Errorf("docs/http.md is not up to date; put the output of `kpl-http options` between the marks")
	}
}

func TestEveryCoreOptionIsReachable(t *testing.T) {
	files, err := filepath.Glob("../../../core/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, b...)
	}
	ours, err := os.ReadFile("../../../internal/option/table/producer.go")
	if err != nil {
		t.Fatal(err)
	}
	ofCode := []string{"WithLogger", "WithObserver", "WithOutcomeFunc", "WithDefaultStream", "WithTrace", "WithBatchTag", "WithOptionNames", "WithPlaces"} // for programs, not for settings
	for _, m := range regexp.MustCompile(`\nfunc (With\w+)\(`).FindAllStringSubmatch(string(source), -1) {
		if name := m[1]; !slices.Contains(ofCode, name) && !strings.Contains(string(ours), "core."+name+"(") {
			t.Errorf("option %s of the producer cannot be set", name)
		}
	}
}

func FuzzLoadNeverPanics(f *testing.F) {
	f.Add(minimal)
	f.Add("a: &x [*x]\n? {b: c}\n: d\nroutes: [{match: /}, 3]\n")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = load(Sources{File: "f.yaml"}, []byte(text))
	})
}

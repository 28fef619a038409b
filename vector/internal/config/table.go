// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30

	msec = int64(time.Millisecond)
	sec  = int64(time.Second)
	min1 = int64(time.Minute)
	hour = int64(time.Hour)
)

// Option is one setting of the file, of the environment and of flags.
type Option = option.Option[Config]

// Options returns the table in the order of documentation.
func Options() []Option {
	return slices.Concat(serverOptions, tlsOptions, authOptions, limitOptions, ledgerOptions, journalOptions(),
		deadLetterOptions(), awsOptions(), producerOptions(), metricsOptions(), otlpGRPCOptions, nativeOptions, logOptions,
		option.Of("route.", func(c *Config) *Route { return &c.Route }, routeOptions))
}

var serverOptions = []Option{
	{
		Spec: option.Spec{
			Name: "server.listen", Hints: []string{"address", "bind", "port"}, Default: "127.0.0.1:8080", Form: "host:port; a host of 0.0.0.0 or :: takes requests from other machines", Check: checkAddress,
			Doc: "Where requests are taken. Other machines reach it only if the host says so.",
		},
		Field: func(c *Config) any { return &c.Server.Listen },
	},
	{
		Spec: option.Spec{
			Name: "server.admin_listen", Default: "127.0.0.1:8081", Form: "host:port, or off", Check: checkAddressOrOff,
			Doc: "Where metrics, the status page and health are served, without authentication.",
		},
		Field: func(c *Config) any { return &c.Server.AdminListen },
	},
	{
		Spec: option.Spec{
			Name: "server.max_connections", Kind: option.Int, Default: "2048", Min: 1, Max: 1_000_000,
			Doc: "Most connections at one time. Further ones wait until one is closed.",
		},
		Field: func(c *Config) any { return &c.Server.MaxConnections },
	},
	{
		Spec: option.Spec{
			Name: "server.http2", Kind: option.Bool, Default: "false",
			Doc: "Offer HTTP/2 over TLS. The shippers in docs/vector.md need HTTP/1.1 only.",
		},
		Field: func(c *Config) any { return &c.Server.HTTP2 },
	},
	{
		Spec: option.Spec{
			Name: "server.header_timeout", Kind: option.Duration, Default: "10s", Min: 100 * msec, Max: 10 * min1,
			Doc: "How long a client may take for request line and headers, and for the TLS handshake.",
		},
		Field: func(c *Config) any { return &c.Server.HeaderTimeout },
	},
	{
		Spec: option.Spec{
			Name: "server.header_max_size", Kind: option.Size, Default: "32KiB", Min: 4 * kib, Max: mib,
			Doc: "Most bytes of request line and headers.",
		},
		Field: func(c *Config) any { return &c.Server.HeaderMaxBytes },
	},
	{
		Spec: option.Spec{
			Name: "server.idle_timeout", Kind: option.Duration, Default: "2m", Min: sec, Max: hour,
			Doc: "How long a connection may be idle between requests.",
		},
		Field: func(c *Config) any { return &c.Server.IdleTimeout },
	},
	{
		Spec: option.Spec{
			Name: "server.body_grace", Kind: option.Duration, Default: "10s", Min: 100 * msec, Max: 10 * min1,
			Doc: "How far a body may be behind body_min_rate. A body that falls behind further is given up with 503.",
		},
		Field: func(c *Config) any { return &c.Server.BodyGrace },
	},
	{
		Spec: option.Spec{
			Name: "server.body_min_rate", Kind: option.Size, Default: "16KiB", Min: 1, Max: gib,
			Doc: "Bytes a second that a body must arrive with, on average.",
		},
		Field: func(c *Config) any { return &c.Server.BodyMinRate },
	},
	{
		Spec: option.Spec{
			Name: "server.body_timeout", Kind: option.Duration, Default: "60s", Min: sec, Max: hour,
			Doc: "How long a body may take altogether. Shippers give up after 60 s at the latest.",
		},
		Field: func(c *Config) any { return &c.Server.BodyTimeout },
	},
	{
		Spec: option.Spec{
			Name: "server.answer_timeout", Kind: option.Duration, Default: "10s", Min: 100 * msec, Max: 10 * min1,
			Doc: "How long a client may take to receive the answer.",
		},
		Field: func(c *Config) any { return &c.Server.AnswerTimeout },
	},
	{
		Spec: option.Spec{
			Name: "server.connection_max_age", Kind: option.Duration, Default: "5m", Min: sec, Max: 24 * hour, ZeroMeans: "no end",
			Doc: "Age, give or take a tenth, at which a connection is closed behind its next answer, so that load balancers can distribute clients anew.",
		},
		Field: func(c *Config) any { return &c.Server.ConnectionMaxAge },
	},
	{
		Spec: option.Spec{
			Name: "server.drain_delay", Kind: option.Duration, Default: "1s", Min: msec, Max: 10 * min1, ZeroMeans: "no delay",
			Doc: "How long requests are still taken after SIGTERM while /readyz says 503. Behind a load balancer: longer than it needs to notice.",
		},
		Field: func(c *Config) any { return &c.Server.DrainDelay },
	},
	{
		Spec: option.Spec{
			Name: "server.drain_timeout", Kind: option.Duration, Default: "25s", Min: 100 * msec, Max: hour,
			Doc: "How long requests under way and records in the buffer may take after that. Together with drain_delay it should be below the time the supervisor waits before it kills (Kubernetes: 30 s).",
		},
		Field: func(c *Config) any { return &c.Server.DrainTimeout },
	},
}

var tlsOptions = []Option{
	{
		Spec: option.Spec{
			Name: "tls.cert_file", Hints: []string{"cert"}, Form: "path of a PEM file",
			Doc: "Certificate chain of the server. With it the server speaks TLS. Read again when it changes.",
		},
		Field: func(c *Config) any { return &c.TLS.CertFile },
	},
	{
		Spec: option.Spec{
			Name: "tls.key_file", Hints: []string{"key"}, Form: "path of a PEM file",
			Doc: "Private key for tls.cert_file. Read again when it changes.",
		},
		Field: func(c *Config) any { return &c.TLS.KeyFile },
	},
	{
		Spec: option.Spec{
			Name: "tls.client_ca_file", Hints: []string{"client_ca"}, Form: "path of a PEM file",
			Doc: "Authorities that sign the certificates of clients (mTLS). Read again when it changes.",
		},
		Field: func(c *Config) any { return &c.TLS.ClientCAFile },
	},
	{
		Spec: option.Spec{
			Name: "tls.client_auth", Default: "require", Enum: []string{"require", "optional"},
			Doc: "Whether a client needs a certificate if tls.client_ca_file is set. optional: a wrong one is refused, none is not.",
		},
		Field: func(c *Config) any { return &c.TLS.ClientAuth },
	},
	{
		Spec: option.Spec{
			Name: "tls.min_version", Default: "1.2", Enum: []string{"1.2", "1.3"},
			Doc: "Lowest version of TLS.",
		},
		Field: func(c *Config) any { return &c.TLS.MinVersion },
	},
}

var authOptions = []Option{
	{
		Spec: option.Spec{
			Name: "auth.bearer_files", Hints: []string{"token", "bearer_token", "bearer_tokens"}, Kind: option.List, Form: "paths",
			Doc: "Files with bearer tokens, one a line; lines with # are comments. Any token of any file is valid, so that tokens can be rotated. Read again when they change.",
		},
		Field: func(c *Config) any { return &c.Auth.BearerFiles },
	},
	{
		Spec: option.Spec{
			Name: "auth.bearer_env", Form: "name of an environment variable", Check: checkEnvName,
			Doc: "Environment variable with bearer tokens, one a line.",
		},
		Field: func(c *Config) any { return &c.Auth.BearerEnv },
	},
	{
		Spec: option.Spec{
			Name: "auth.basic_files", Hints: []string{"password", "users"}, Kind: option.List, Form: "paths",
			Doc: "Files with user:password for HTTP basic authentication, one a line; as auth.bearer_files.",
		},
		Field: func(c *Config) any { return &c.Auth.BasicFiles },
	},
	{
		Spec: option.Spec{
			Name: "auth.basic_env", Form: "name of an environment variable", Check: checkEnvName,
			Doc: "Environment variable with user:password, one a line.",
		},
		Field: func(c *Config) any { return &c.Auth.BasicEnv },
	},
}

var limitOptions = []Option{
	{
		Spec: option.Spec{
			Name: "limits.memory", Kind: option.Size, Default: "256MiB", Min: 4 * mib, Max: 1 << 40,
			Doc: "Most bytes of bodies in memory, on the wire and unpacked, with their tables of records. Requests beyond it wait for limits.admission_timeout and are then answered with 503. The buffer of the producer holds references only.",
		},
		Field: func(c *Config) any { return &c.Limits.Memory },
	},
	{
		Spec: option.Spec{
			Name: "limits.wire_max_size", Kind: option.Size, Default: "64MiB", Min: kib, Max: 4 * gib,
			Doc: "Largest body as sent. Larger ones are answered with 422, which makes clients drop them.",
		},
		Field: func(c *Config) any { return &c.Limits.WireMaxBytes },
	},
	{
		Spec: option.Spec{
			Name: "limits.body_max_size", Hints: []string{"max_body_size"}, Kind: option.Size, Default: "64MiB", Min: kib, Max: 4 * gib,
			Doc: "Largest body after unpacking, and its largest size as JSON if it is OTLP or MessagePack, in which each OTLP log record repeats its resource and scope. Larger ones are answered with 422.",
		},
		Field: func(c *Config) any { return &c.Limits.BodyMaxBytes },
	},
	{
		Spec: option.Spec{
			Name: "limits.admission_timeout", Kind: option.Duration, Default: "2s", Min: msec, Max: 10 * min1, ZeroMeans: "no wait",
			Doc: "How long a request waits for memory before it is answered with 503.",
		},
		Field: func(c *Config) any { return &c.Limits.AdmissionTimeout },
	},
	{
		Spec: option.Spec{
			Name: "limits.events", Kind: option.Int, Default: "500000", Min: 1, Max: 10_000_000,
			Doc: "Most events of one body; each costs some 250 bytes of memory besides its text. Bodies with more are answered with 422.",
		},
		Field: func(c *Config) any { return &c.Limits.MaxEvents },
	},
}

var ledgerOptions = []Option{
	{
		Spec: option.Spec{
			Name: "ledger.entries", Kind: option.Int, Default: "16384", Min: 0, Max: 1_000_000, ZeroMeans: "no ledger",
			Doc: "Bodies remembered that were not answered with 200, so that only what is missing is written when they come again.",
		},
		Field: func(c *Config) any { return &c.Ledger.Entries },
	},
	{
		Spec: option.Spec{
			Name: "ledger.max_size", Kind: option.Size, Default: "64MiB", Min: 4 << 10, Max: 16 * gib,
			Doc: "Memory of the ledger, without bodies that are still being delivered, which count in limits.memory.",
		},
		Field: func(c *Config) any { return &c.Ledger.Bytes },
	},
	{
		Spec: option.Spec{
			Name: "ledger.age", Kind: option.Duration, Default: "10m", Min: sec, Max: 24 * hour,
			Doc: "How long a body is remembered. Should be above the longest pause between two attempts of a client.",
		},
		Field: func(c *Config) any { return &c.Ledger.Age },
	},
	{
		Spec: option.Spec{
			Name: "ledger.client", Default: "address", Enum: []string{"address", "any"},
			Doc: "Whose bodies may be one sent again. address: only those from the same address, which is the first of X-Forwarded-For, without its port, or, without that header, the one of the connection. any: all, for clients that come from a different address each time; then a body that its client has given up can stand for an equal one of another client.",
		},
		Field: func(c *Config) any { return &c.Ledger.Client },
	},
	{
		Spec: option.Spec{
			Name: "ledger.key_header", Default: "Idempotency-Key", Off: NoKeyHeader, Form: "name of a header, or off", Check: checkHeaderName,
			Doc: "Header by which a client names a body. Bodies with different names are different, however equal they are; a body without a name is known by its bytes alone. The journal can then tell a body that comes again after a crash although it was answered.",
		},
		Field: func(c *Config) any { return &c.Ledger.KeyHeader },
	},
}

// journalOptions are those of the journal. It has one folder: the program has one output.
func journalOptions() []Option {
	return option.With(option.Of("journal.", func(c *Config) *table.Journal { return &c.Journal }, table.JournalOptions()),
		option.Spec{
			Name: "journal.dir",
			Doc:  "Folder in which it is noted what is already in Kinesis of bodies that are not answered yet. After a crash, a kill or a restart only what is missing is written when clients send them again. Each process needs a folder of its own; if it cannot be used, the log says so, and bodies that come again are written whole. See docs/journal.md.",
		},
		option.Spec{Name: "journal.age", Default: "1h", Doc: "How long the journal keeps a body that does not come again, since its client has given up."},
	)
}

func checkHeaderName(v string) error {
	if v == NoKeyHeader || v != "" && strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" {
		return nil
	}
	return errors.New("not the name of a header")
}

func deadLetterOptions() []Option {
	part := func(c *Config) *table.DeadLetter {
		d := &c.DeadLetter
		return &table.DeadLetter{File: &d.File, MaxBytes: &d.MaxBytes, MaxFiles: &d.MaxFiles, DropOldest: &d.DropOldest}
	}
	shared := option.With(option.Of("dead_letter.", part, table.DeadLetterOptions()),
		option.Spec{Name: "dead_letter.file", Form: "path", // whether the folder exists shows later
			Doc: "File for events that can never be stored, for the policy dead_letter."},
		option.Spec{
			Name: "dead_letter.max_files",
			Doc:  "Full dead letter files that are kept. When there are more, requests that need one are answered with 503, until files are taken away.",
		},
	)
	return append(shared,
		Option{
			Spec: option.Spec{
				Name: "dead_letter.max_age", Kind: option.Duration, Default: "0", Min: sec, Max: 8760 * hour, ZeroMeans: "size alone counts",
				Doc: "Age of the oldest event in dead_letter.file at which it is renamed and a new one is begun.",
			},
			Field: func(c *Config) any { return &c.DeadLetter.MaxAge },
		},
		Option{
			Spec: option.Spec{
				Name: "dead_letter.stream", Form: streamForm, Check: checkStream,
				Doc: "Stream for such events, instead of a file; none that events are sent to.",
			},
			Field: func(c *Config) any { return &c.DeadLetter.Stream },
		},
	)
}

// What is different here about the options of AWS and of the producer.

func awsOptions() []Option {
	return option.With(option.Of("aws.", func(c *Config) *table.AWS { return &c.AWS }, table.AWSOptions()),
		option.Spec{Name: "aws.region", Doc: "Region of the streams. ARNs must not differ from it."},
		option.Spec{
			Name: "aws.proxy", Form: "URL with http, https or socks5, without a password",
			DefaultNote: "HTTPS_PROXY, HTTP_PROXY and NO_PROXY, which may hold a password", Check: checkProxy,
		},
		option.Spec{
			Name: "aws.startup_check",
			Doc:  "Ask Kinesis at the start whether the streams that the configuration names can be written to. require: end the program if not, unless it may be for a while only.",
		},
	)
}

func producerOptions() []Option {
	return option.With(option.Of("producer.", func(c *Config) *table.Producer { return &c.Producer }, table.ProducerOptions()),
		option.Spec{
			Name: "producer.max_buffered_time", Default: "10ms",
			Doc: "How long an event may wait for others to share a Kinesis record with. It is not waited for when no more can come. The default is below the library's 100ms, because clients with one request at a time wait for it.",
		},
		option.Spec{
			Name: "producer.request_timeout",
			Doc:  "How long one call to Kinesis may take before it is given up and repeated. Should be below route.ack_timeout.",
		},
		option.Spec{
			Name: "producer.ordering",
			Doc:  "strict: events with equal keys are stored in the order in which they were submitted. That is the client's order only if it has one request at a time.",
		},
		option.Spec{Name: "producer.max_streams", Doc: "Most streams in use at one time. Requests for further ones are answered with 503."},
		option.Spec{Name: "producer.stream_idle", Doc: "How long without events until what is known of a stream is given up."},
		option.Spec{
			Name: "producer.fail_if_throttled",
			Doc:  "Answer 503 at the first throttle instead of waiting for room in the shard until route.ack_timeout.",
		},
		option.Spec{
			Name: "producer.record_ttl",
			Doc:  "Give up on an event that is not confirmed this long after it was submitted. The client is told 503, never 200.",
		},
	)
}

var logOptions = []Option{
	{
		Spec: option.Spec{
			Name: "log.level", Hints: []string{"log_level", "verbosity"}, Default: "info", Enum: []string{"debug", "info", "warn", "error"},
			Doc: "Least severe level that is logged. Contents of events and secrets are never logged.",
		},
		Field: func(c *Config) any { return &c.Log.Level },
	},
	{
		Spec: option.Spec{
			Name: "log.format", Default: "text", Enum: []string{"text", "json"},
			Doc: "Form of the log on standard error.",
		},
		Field: func(c *Config) any { return &c.Log.Format },
	},
}

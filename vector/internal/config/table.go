// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"time"
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

// Options returns the table in the order of documentation.
func Options() []Option {
	return slices.Concat(serverOptions, tlsOptions, authOptions, limitOptions, ledgerOptions,
		deadLetterOptions, awsOptions, producerOptions, metricsOptions, nativeOptions, logOptions, routeOptions)
}

var serverOptions = []Option{
	{Key: "server.listen", Default: "127.0.0.1:8080", Form: "host:port; a host of 0.0.0.0 or :: takes requests from other machines", check: checkAddress,
		Doc:   "Where requests are taken. Other machines reach it only if the host says so.",
		field: func(c *Config) any { return &c.Server.Listen }},
	{Key: "server.admin_listen", Default: "127.0.0.1:8081", Form: "host:port, or off", check: checkAddressOrOff,
		Doc:   "Where metrics, the status page and health are served, without authentication.",
		field: func(c *Config) any { return &c.Server.AdminListen }},
	{Key: "server.max_connections", Kind: KindInt, Default: "2048", Min: 1, Max: 1_000_000,
		Doc:   "Most connections at one time. Further ones wait until one is closed.",
		field: func(c *Config) any { return &c.Server.MaxConnections }},
	{Key: "server.http2", Kind: KindBool, Default: "false",
		Doc:   "Offer HTTP/2 over TLS. The shippers in docs/vector.md need HTTP/1.1 only.",
		field: func(c *Config) any { return &c.Server.HTTP2 }},
	{Key: "server.header_timeout", Kind: KindDuration, Default: "10s", Min: 100 * msec, Max: 10 * min1,
		Doc:   "How long a client may take for request line and headers, and for the TLS handshake.",
		field: func(c *Config) any { return &c.Server.HeaderTimeout }},
	{Key: "server.header_max_size", Kind: KindSize, Default: "32KiB", Min: 4 * kib, Max: mib,
		Doc:   "Most bytes of request line and headers.",
		field: func(c *Config) any { return &c.Server.HeaderMaxBytes }},
	{Key: "server.idle_timeout", Kind: KindDuration, Default: "2m", Min: sec, Max: hour,
		Doc:   "How long a connection may be idle between requests.",
		field: func(c *Config) any { return &c.Server.IdleTimeout }},
	{Key: "server.body_grace", Kind: KindDuration, Default: "10s", Min: 100 * msec, Max: 10 * min1,
		Doc:   "How far a body may be behind body_min_rate. A body that falls behind further is given up with 503.",
		field: func(c *Config) any { return &c.Server.BodyGrace }},
	{Key: "server.body_min_rate", Kind: KindSize, Default: "16KiB", Min: 1, Max: gib,
		Doc:   "Bytes a second that a body must arrive with, on average.",
		field: func(c *Config) any { return &c.Server.BodyMinRate }},
	{Key: "server.body_timeout", Kind: KindDuration, Default: "60s", Min: sec, Max: hour,
		Doc:   "How long a body may take altogether. Shippers give up after 60 s at the latest.",
		field: func(c *Config) any { return &c.Server.BodyTimeout }},
	{Key: "server.answer_timeout", Kind: KindDuration, Default: "10s", Min: 100 * msec, Max: 10 * min1,
		Doc:   "How long a client may take to receive the answer.",
		field: func(c *Config) any { return &c.Server.AnswerTimeout }},
	{Key: "server.connection_max_age", Kind: KindDuration, Default: "5m", Min: sec, Max: 24 * hour, ZeroMeans: "no end",
		Doc:   "Age, give or take a tenth, at which a connection is closed behind its next answer, so that load balancers can spread clients anew.",
		field: func(c *Config) any { return &c.Server.ConnectionMaxAge }},
	{Key: "server.drain_delay", Kind: KindDuration, Default: "1s", Min: msec, Max: 10 * min1, ZeroMeans: "no delay",
		Doc:   "How long requests are still taken after SIGTERM while /readyz says 503. Behind a load balancer: longer than it needs to notice.",
		field: func(c *Config) any { return &c.Server.DrainDelay }},
	{Key: "server.drain_timeout", Kind: KindDuration, Default: "25s", Min: 100 * msec, Max: hour,
		Doc:   "How long requests under way and records in the buffer may take after that. Together with drain_delay it should be below the time the supervisor waits before it kills (Kubernetes: 30 s).",
		field: func(c *Config) any { return &c.Server.DrainTimeout }},
}

var tlsOptions = []Option{
	{Key: "tls.cert_file", Form: "path of a PEM file",
		Doc:   "Certificate chain of the server. With it the server speaks TLS. Read again when it changes.",
		field: func(c *Config) any { return &c.TLS.CertFile }},
	{Key: "tls.key_file", Form: "path of a PEM file",
		Doc:   "Private key for tls.cert_file. Read again when it changes.",
		field: func(c *Config) any { return &c.TLS.KeyFile }},
	{Key: "tls.client_ca_file", Form: "path of a PEM file",
		Doc:   "Authorities that sign the certificates of clients (mTLS). Read again when it changes.",
		field: func(c *Config) any { return &c.TLS.ClientCAFile }},
	{Key: "tls.client_auth", Default: "require", Enum: []string{"require", "optional"},
		Doc:   "Whether a client needs a certificate if tls.client_ca_file is set. optional: a wrong one is refused, none is not.",
		field: func(c *Config) any { return &c.TLS.ClientAuth }},
	{Key: "tls.min_version", Default: "1.2", Enum: []string{"1.2", "1.3"},
		Doc:   "Lowest version of TLS.",
		field: func(c *Config) any { return &c.TLS.MinVersion }},
}

var authOptions = []Option{
	{Key: "auth.bearer_files", Kind: KindList, Form: "paths",
		Doc:   "Files with bearer tokens, one a line; lines with # are comments. Any token of any file is valid, so that tokens can be rotated. Read again when they change.",
		field: func(c *Config) any { return &c.Auth.BearerFiles }},
	{Key: "auth.bearer_env", Form: "name of an environment variable", check: checkEnvName,
		Doc:   "Environment variable with bearer tokens, one a line.",
		field: func(c *Config) any { return &c.Auth.BearerEnv }},
	{Key: "auth.basic_files", Kind: KindList, Form: "paths",
		Doc:   "Files with user:password for HTTP basic authentication, one a line; as auth.bearer_files.",
		field: func(c *Config) any { return &c.Auth.BasicFiles }},
	{Key: "auth.basic_env", Form: "name of an environment variable", check: checkEnvName,
		Doc:   "Environment variable with user:password, one a line.",
		field: func(c *Config) any { return &c.Auth.BasicEnv }},
}

var limitOptions = []Option{
	{Key: "limits.memory", Kind: KindSize, Default: "256MiB", Min: 4 * mib, Max: 1 << 40,
		Doc:   "Most bytes of bodies in memory, on the wire and unpacked, with their tables of records. Requests beyond it wait for limits.admission_timeout and are then answered with 503. The buffer of the producer holds references only.",
		field: func(c *Config) any { return &c.Limits.Memory }},
	{Key: "limits.wire_max_size", Kind: KindSize, Default: "64MiB", Min: kib, Max: 4 * gib,
		Doc:   "Largest body as sent. Larger ones are answered with 422, which makes clients drop them.",
		field: func(c *Config) any { return &c.Limits.WireMaxBytes }},
	{Key: "limits.body_max_size", Kind: KindSize, Default: "64MiB", Min: kib, Max: 4 * gib,
		Doc:   "Largest body after unpacking, and its largest size as JSON if it is OTLP or MessagePack, in which each OTLP log record repeats its resource and scope. Larger ones are answered with 422.",
		field: func(c *Config) any { return &c.Limits.BodyMaxBytes }},
	{Key: "limits.admission_timeout", Kind: KindDuration, Default: "2s", Min: msec, Max: 10 * min1, ZeroMeans: "no wait",
		Doc:   "How long a request waits for memory before it is answered with 503.",
		field: func(c *Config) any { return &c.Limits.AdmissionTimeout }},
	{Key: "limits.events", Kind: KindInt, Default: "500000", Min: 1, Max: 10_000_000,
		Doc:   "Most events of one body; each costs some 250 bytes of memory besides its text. Bodies with more are answered with 422.",
		field: func(c *Config) any { return &c.Limits.MaxEvents }},
}

var ledgerOptions = []Option{
	{Key: "ledger.entries", Kind: KindInt, Default: "16384", Min: 0, Max: 1_000_000, ZeroMeans: "no ledger",
		Doc:   "Bodies remembered that were not answered with 200, so that only what is missing is written when they come again.",
		field: func(c *Config) any { return &c.Ledger.Entries }},
	{Key: "ledger.max_size", Kind: KindSize, Default: "64MiB", Min: 4 << 10, Max: 16 * gib,
		Doc:   "Memory of the ledger, without bodies that are still being delivered, which count in limits.memory.",
		field: func(c *Config) any { return &c.Ledger.Bytes }},
	{Key: "ledger.age", Kind: KindDuration, Default: "10m", Min: sec, Max: 24 * hour,
		Doc:   "How long a body is remembered. Should be above the longest pause between two attempts of a client.",
		field: func(c *Config) any { return &c.Ledger.Age }},
	{Key: "ledger.client", Default: "address", Enum: []string{"address", "any"},
		Doc:   "Whose bodies may be one sent again. address: only those from the same address, which is the first of X-Forwarded-For, without its port, or, without that header, the one of the connection. any: all, for clients that come from a different address each time; then a body that its client has given up can stand for an equal one of another client.",
		field: func(c *Config) any { return &c.Ledger.Client }},
}

var deadLetterOptions = []Option{
	{Key: "dead_letter.file", Form: "path",
		Doc:   "File for events that can never be stored, for the policy dead_letter.",
		field: func(c *Config) any { return &c.DeadLetter.File }},
	{Key: "dead_letter.max_size", Kind: KindSize, Default: "256MiB", Min: mib, Max: 1 << 40,
		Doc:   "Size of dead_letter.file at which it is renamed and a new one is begun.",
		field: func(c *Config) any { return &c.DeadLetter.MaxBytes }},
	{Key: "dead_letter.max_age", Kind: KindDuration, Default: "0", Min: sec, Max: 8760 * hour, ZeroMeans: "size alone counts",
		Doc:   "Age of the oldest event in dead_letter.file at which it is renamed and a new one is begun.",
		field: func(c *Config) any { return &c.DeadLetter.MaxAge }},
	{Key: "dead_letter.max_files", Kind: KindInt, Default: "16", Min: 1, Max: 100_000,
		Doc:   "Full files to keep. When there are more, requests that need one are answered with 503, until somebody takes files away.",
		field: func(c *Config) any { return &c.DeadLetter.MaxFiles }},
	{Key: "dead_letter.drop_oldest", Kind: KindBool, Default: "false",
		Doc:   "Delete the oldest full file instead, and so lose its events for good.",
		field: func(c *Config) any { return &c.DeadLetter.DropOldest }},
	{Key: "dead_letter.stream", Form: "stream name or ARN", check: checkStream,
		Doc:   "Stream for such events, instead of a file.",
		field: func(c *Config) any { return &c.DeadLetter.Stream }},
}

var logOptions = []Option{
	{Key: "log.level", Default: "info", Enum: []string{"debug", "info", "warn", "error"},
		Doc:   "Least severe level that is logged. Contents of events and secrets are never logged.",
		field: func(c *Config) any { return &c.Log.Level }},
	{Key: "log.format", Default: "text", Enum: []string{"text", "json"},
		Doc:   "Form of the log on standard error.",
		field: func(c *Config) any { return &c.Log.Format }},
}

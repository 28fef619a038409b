// SPDX-License-Identifier: Apache-2.0

package config

import (
	"time"

	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/option/table"
)

// Config is what kpl-http runs with. The table of Options says what each field
// means, its unit, default and range.
type Config struct {
	Server     Server
	TLS        TLS
	Auth       Auth
	Limits     Limits
	Ledger     Ledger
	Journal    table.Journal
	DeadLetter DeadLetter
	AWS        table.AWS
	Producer   table.Producer
	Metrics    Metrics
	OTLPGRPC   OTLPGRPC
	Native     Native
	Log        Log
	// Route holds the settings of all requests that no entry of Routes matches.
	Route Route
	// Routes are tried in order; the first whose Match fits the path wins. What an
	// entry does not set is as in Route.
	Routes []Route

	// Notes are lines for the log about what was given under another name.
	Notes []string

	origins map[string]string // where a value that is not a default came from
}

// Server is about connections and their times.
type Server struct {
	Listen           string
	AdminListen      string
	MaxConnections   int
	HTTP2            bool
	HeaderTimeout    time.Duration
	HeaderMaxBytes   int
	IdleTimeout      time.Duration
	BodyGrace        time.Duration
	BodyMinRate      int
	BodyTimeout      time.Duration
	AnswerTimeout    time.Duration
	ConnectionMaxAge time.Duration
	DrainDelay       time.Duration
	DrainTimeout     time.Duration
}

// TLS is about the certificate of the server and those of clients.
type TLS struct {
	CertFile     string
	KeyFile      string
	ClientCAFile string
	ClientAuth   string
	MinVersion   string
}

// Auth says who may send. Without any source everybody may.
type Auth struct {
	BearerFiles []string
	BearerEnv   string
	BasicFiles  []string
	BasicEnv    string
}

// Enabled tells whether requests need credentials in a header.
func (a *Auth) Enabled() bool {
	return len(a.BearerFiles) > 0 || a.BearerEnv != "" || len(a.BasicFiles) > 0 || a.BasicEnv != ""
}

// Limits bound what requests may cost.
type Limits struct {
	Memory           int64
	WireMaxBytes     int64
	BodyMaxBytes     int64
	AdmissionTimeout time.Duration
	MaxEvents        int
}

// EventCost is what an event costs in memory besides its text, in bytes: an entry in
// the table of the body (32), a record (56) and what the producer notes of it.
const EventCost = 256

// Need is the memory that the largest body takes: unpacked, and either packed, too, or
// with its events converted.
func (l *Limits) Need() int64 {
	return l.BodyMaxBytes + max(l.WireMaxBytes, l.BodyMaxBytes) + int64(l.MaxEvents)*EventCost + mib
}

// Ledger bounds the memory of bodies that are likely to be sent again.
type Ledger struct {
	Entries int
	Bytes   int64
	Age     time.Duration
	// Client is "address" or "any".
	Client string
	// KeyHeader is the header by which clients name a body, or NoKeyHeader.
	KeyHeader string
}

// NoKeyHeader is the value of Ledger.KeyHeader for none.
const NoKeyHeader = "off"

// DeadLetter says where events go that can never be stored.
type DeadLetter struct {
	File       string
	MaxBytes   int64
	MaxAge     time.Duration
	MaxFiles   int
	DropOldest bool
	Stream     string
}

// Log is about the program's own log on standard error.
type Log struct {
	Level  string
	Format string
}

// Route holds the settings of requests to a path.
type Route struct {
	// Match is a path pattern as of path.Match; empty in Config.Route.
	Match               string
	Format              string
	Stream              string
	Streams             []string
	PartitionKey        string
	PartitionKeyMissing string
	LogKey              string
	DataKeys            []string
	ReplaceDots         string
	Compression         string
	CompressionLevel    int
	Combine             string
	CombineSize         int
	CombineCount        int
	Wrapper             string
	KeepLayout          bool
	KeepEmptyLines      bool
	UnquoteStrings      bool
	RejectInvalidUTF8   bool
	TimeKey             string
	Resource            bool
	Scope               bool
	AppendNewline       bool
	AckTimeout          time.Duration
	RetryAfter          time.Duration
	RecordMaxBytes      int
	TooLarge            string
	Invalid             string
	Malformed           string
}

// What is done with an event that can never be stored.
const (
	Auto        = "auto" // DeadLetters if there is a place for them, else Drop
	Drop        = "drop"
	DeadLetters = "dead_letter"
	Reject      = "reject"
	Unkeyed     = "unkeyed"
	// ConstantPrefix introduces a fixed partition key.
	ConstantPrefix = "constant:"
)

// CombineConfig is what package event needs for Combine.
func (r *Route) CombineConfig() event.CombineConfig {
	return event.CombineConfig{
		Combine: r.Combine, CombineSize: r.CombineSize, CombineCount: r.CombineCount,
		Compression: r.Compression, CompressionLevel: r.CompressionLevel,
	}
}

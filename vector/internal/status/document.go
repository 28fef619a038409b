// SPDX-License-Identifier: Apache-2.0

package status

import "time"

// Document is what /status.json answers. Counts are since the start of the program,
// rates per second, sizes in bytes. Fields may be added; none changes its meaning.
type Document struct {
	Program       string            `json:"program"`
	Version       string            `json:"version"`
	Go            string            `json:"go"`
	Region        string            `json:"region"`
	Endpoint      string            `json:"endpoint"`
	Host          string            `json:"host"`
	Now           time.Time         `json:"now"`
	Started       time.Time         `json:"started"`
	UptimeSeconds float64           `json:"uptime_seconds"`
	Listeners     map[string]string `json:"listeners"`
	Server        Server            `json:"server"`
	Producer      Producer          `json:"producer"`
	// Problems is what is wrong at this moment, the worst first.
	Problems []Problem `json:"problems"`
	// Streams are ordered by name.
	Streams []Stream `json:"streams"`
	History History  `json:"history"`
	// Log holds lines of level warn and above, the newest first.
	Log []Line `json:"log"`
}

// Server is the state of what takes requests.
type Server struct {
	Draining bool `json:"draining"`
	// Requests counts answers by status, Rejected those that are not 200 by reason.
	Requests map[string]uint64 `json:"requests"`
	Rejected map[string]uint64 `json:"rejected"`
	InFlight int64             `json:"in_flight"`
	// Connections are open at this moment.
	Connections    int64 `json:"connections"`
	MaxConnections int64 `json:"max_connections"`
	// WireBytes and BodyBytes are sizes of bodies as sent and unpacked.
	WireBytes uint64 `json:"wire_bytes"`
	BodyBytes uint64 `json:"body_bytes"`
	// Events counts events of valid bodies, Confirmed those that are in Kinesis and
	// whose client was told so.
	Events    uint64 `json:"events"`
	Confirmed uint64 `json:"confirmed"`
	// Dropped and DeadLettered count events that can never be stored, by reason.
	Dropped      map[string]uint64 `json:"dropped"`
	DeadLettered map[string]uint64 `json:"dead_lettered"`
	// Resumed counts bodies that came again and of which only what was missing was
	// written; EventsSaved the events that were not resent.
	Resumed     uint64  `json:"resumed"`
	EventsSaved uint64  `json:"events_saved"`
	Gone        uint64  `json:"clients_gone"`
	Memory      Memory  `json:"memory"`
	Ledger      Ledger  `json:"ledger"`
	Journal     Journal `json:"journal"`
	Routes      []Route `json:"routes"`
	// AckLatency is of the last two minutes at most.
	AckLatency Latency `json:"ack_latency"`
	// Buckets counts all outcomes by the time they took, for the bounds given to New.
	Buckets []uint64 `json:"-"`
}

// Memory is the budget for bodies.
type Memory struct {
	Used    int64 `json:"used"`
	Limit   int64 `json:"limit"`
	Waiting int   `json:"waiting"`
}

// Ledger is the state of the ledger.
type Ledger struct {
	Entries    int    `json:"entries"`
	MaxEntries int    `json:"max_entries"`
	Bytes      int64  `json:"bytes"`
	MaxBytes   int64  `json:"max_bytes"`
	Hits       uint64 `json:"hits"`
	Expired    uint64 `json:"expired"`
	Evicted    uint64 `json:"evicted"`
}

// Journal is the state of the journal.
type Journal struct {
	On        bool   `json:"on"`
	Entries   int    `json:"entries"`
	Bytes     int64  `json:"bytes"`
	MaxBytes  int64  `json:"max_bytes"`
	Syncs     uint64 `json:"syncs"`
	Used      uint64 `json:"used"`
	Uncertain uint64 `json:"uncertain"`
	Failed    bool   `json:"failed"`
}

// Route is the state of one route.
type Route struct {
	Match     string            `json:"match"`
	Requests  map[string]uint64 `json:"requests"`
	Rejected  map[string]uint64 `json:"rejected"`
	WireBytes uint64            `json:"wire_bytes"`
	BodyBytes uint64            `json:"body_bytes"`
	Events    uint64            `json:"events"`
	Confirmed uint64            `json:"confirmed"`
}

// Latency is a distribution of times, in seconds; 0 if there was nothing.
type Latency struct {
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Count uint64  `json:"count"`
}

// Producer is the state of the producer.
type Producer struct {
	BufferedBytes       int `json:"buffered_bytes"`
	BufferLimitBytes    int `json:"buffer_limit_bytes"`
	BufferedRecords     int `json:"buffered_records"`
	BufferLimitRecords  int `json:"buffer_limit_records"`
	AggregationMaxBytes int `json:"aggregation_max_bytes"`
	// VerifyUncertain tells whether records whose answer was lost are looked for.
	VerifyUncertain bool `json:"verify_uncertain"`
	// PutUnits are the 25 KiB units that were charged, PutUnitsSaved those that
	// aggregation saved.
	PutUnits      uint64 `json:"put_units"`
	PutUnitsSaved uint64 `json:"put_units_saved"`
	// Throttled counts Kinesis records that a shard's limit refused.
	Throttled uint64 `json:"throttled"`
}

// Stream is the state of one stream.
type Stream struct {
	Name string `json:"name"`
	// Aggregating is false where events are not aggregated; Auto is set for a stream that
	// distributes records itself.
	Aggregating bool `json:"aggregating"`
	Auto        bool `json:"auto"`
	// LastError is the error code that requests fail with, or empty.
	LastError string `json:"last_error"`
	// InUse is the most of a shard's limit that is in use, 0 to 1; BacklogSeconds what the
	// shard that needs most takes for what waits; ShardsNeeded how many shards would do, 0
	// without a shard map.
	InUse            float64           `json:"in_use"`
	BacklogSeconds   float64           `json:"backlog_seconds"`
	ShardsNeeded     int               `json:"shards_needed"`
	MaxRecordBytes   int               `json:"max_record_bytes"`
	OldestAgeSeconds float64           `json:"oldest_age_seconds"`
	MapAgeSeconds    float64           `json:"map_age_seconds"` // -1 without a map
	InFlight         int               `json:"in_flight"`
	Accepted         uint64            `json:"accepted"`
	Confirmed        uint64            `json:"confirmed"`
	ConfirmedBytes   uint64            `json:"confirmed_bytes"`
	Pending          uint64            `json:"pending"`
	Failed           map[string]uint64 `json:"failed"`
	KinesisRecords   uint64            `json:"kinesis_records"`
	KinesisBytes     uint64            `json:"kinesis_bytes"`
	PutUnits         uint64            `json:"put_units"`
	PutUnitsSaved    uint64            `json:"put_units_saved"`
	Requests         uint64            `json:"requests"`
	RequestErrors    uint64            `json:"request_errors"`
	Throttled        uint64            `json:"throttled"`
	Refused          uint64            `json:"refused"` // for another reason
	WrongShard       uint64            `json:"wrong_shard"`
	Uncertain        uint64            `json:"uncertain"`
	VerifyOpened     uint64            `json:"verify_opened"` // user records looked for after a lost answer
	VerifyStored     uint64            `json:"verify_stored"`
	VerifyMissing    uint64            `json:"verify_missing"`
	VerifyGivenUp    uint64            `json:"verify_given_up"`
	VerifyReads      uint64            `json:"verify_reads"`
	Retries          uint64            `json:"retries"`
	// Rate is null if nothing was asked in the last seconds.
	Rate   *Rate  `json:"rate"`
	Shards Shards `json:"shards"`
}

// Rate is what happens in a second.
type Rate struct {
	Accepted       float64 `json:"accepted"`
	Confirmed      float64 `json:"confirmed"`
	ConfirmedBytes float64 `json:"confirmed_bytes"`
	KinesisRecords float64 `json:"kinesis_records"`
	KinesisBytes   float64 `json:"kinesis_bytes"`
	Requests       float64 `json:"requests"`
	Throttled      float64 `json:"throttled"`
	// PutUnits and PutUnitsSaved are of the same time, so that their ratio is the
	// present one.
	PutUnits      float64 `json:"put_units"`
	PutUnitsSaved float64 `json:"put_units_saved"`
}

// Shards holds the open shards as columns, ordered by id, which keeps the answer small
// with thousands of them.
type Shards struct {
	ID []string `json:"id"`
	// Load is the share of the shard's capacity that is used, 1 for all of it: of
	// 1 MiB or 1,000 records a second, whichever is more. Null without a rate.
	Load []float64 `json:"load"`
	// ThrottledRate counts refused Kinesis records per second. Null without a rate.
	ThrottledRate []float64 `json:"throttled_rate"`
	// Share is the share of the shard's capacity that is the limit at present.
	Share []float64 `json:"share"`
	// InUse is how much of this limit is in use; BacklogSeconds is what the shard takes for
	// what waits.
	InUse          []float64 `json:"in_use"`
	BacklogSeconds []float64 `json:"backlog_seconds"`
	// QueuedBytes wait for capacity.
	QueuedBytes []int `json:"queued_bytes"`
	// Paused is 1 while the shard is left alone after a throttle.
	Paused []int `json:"paused"`
	// Stored and Throttled count Kinesis records.
	Stored    []uint64 `json:"stored"`
	Throttled []uint64 `json:"throttled"`
}

// History holds rates of the last two minutes, the newest last.
type History struct {
	IntervalSeconds float64   `json:"interval_seconds"`
	Events          []float64 `json:"events"`
	Confirmed       []float64 `json:"confirmed"`
	BodyBytes       []float64 `json:"body_bytes"`
	WireBytes       []float64 `json:"wire_bytes"`
	Throttled       []float64 `json:"throttled"`
	Requests        []float64 `json:"requests"`
	Unavailable     []float64 `json:"unavailable"` // answers of 503
	Refused         []float64 `json:"refused"`     // answers of 4xx, whose bodies shippers drop
}

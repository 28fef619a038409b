// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"slices"

	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
)

// Option is one key of the output section. The table of options is the only place where
// a key is described: parsing, checks, the host's list of allowed keys and
// docs/options.md all come from it.
type Option = option.Option[Config]

// Section is a group of options in docs/options.md.
type Section struct {
	Title   string
	Options []Option
}

// Options returns the options of all sections.
func Options() []Option {
	var all []Option
	for _, s := range sections {
		all = append(all, s.Options...)
	}
	return all
}

var sections = allSections()

func allSections() []Section {
	aws, producer := sharedAWS(), sharedProducer()
	return []Section{
		{"Stream and region", slices.Concat(streamOptions,
			option.Pick(producer, "describe_interval", "stream_idle"),
			option.Pick(aws, "region", "endpoint", "use_fips_endpoint", "use_dualstack_endpoint"))},
		{"Partition key", keyOptions},
		{"Payload", slices.Concat(payloadOptions, sharedCombine())},
		{"What does not fit or cannot be delivered", slices.Concat(oversizeOptions, sharedDeadLetter())},
		{"Aggregation and requests", option.Pick(producer, "distribution", "aggregation", "aggregation_max_size", "aggregation_grow_size", "aggregation_max_count",
			"max_buffered_time", "linger", "collection_max_count", "collection_max_size", "max_in_flight")},
		{"Pace and retries", option.Pick(producer, "ordering", "rate_limit", "adaptive_rate", "shard_limit_records", "shard_limit_bytes", "fail_if_throttled",
			"record_ttl", "retry_backoff_min", "retry_backoff_max",
			"verify_uncertain", "verify_uncertain_time", "verify_uncertain_calls", "verify_uncertain_memory")},
		{"Time and memory", slices.Concat(option.Pick(aws, "startup_check"), flushOptions,
			option.Pick(producer, "request_timeout"), option.Pick(aws, "connect_timeout", "max_connections"), option.Pick(producer, "buffer_size", "buffer_records"))},
		{"What outlives the process", sharedJournal()},
		{"Credentials and connection", option.Pick(aws, "role_arn", "external_id", "sts_endpoint", "profile", "proxy", "ca_file", "verify_certificate", "wire_format", "extra_user_agent")},
		{"Metrics", sharedMetrics()},
		{"Accepted for moving over", otherOptions},
	}
}

// What follows are the shared options, with what is different here.

func sharedAWS() []Option {
	return option.With(option.Of("", func(c *Config) *table.AWS { return &c.AWS }, table.AWSOptions()),
		option.Spec{Name: "max_connections", Doc: "Most connections to Kinesis. It is raised to max_in_flight."},
		option.Spec{
			Name: "startup_check",
			Details: "Needs no permission that writing does not need. A failure that may pass by itself (a network that is not up yet) never keeps the plugin from starting. " +
				"Beware of `require` with hot reload: the host ends when an output refuses to start.",
		},
	)
}

func sharedProducer() []Option {
	return option.With(option.Of("", func(c *Config) *table.Producer { return &c.Producer }, table.ProducerOptions()),
		option.Spec{
			Name: "buffer_size", Default: "64M", Min: 2e6, Max: 16e9,
			Doc: "Most bytes that the plugin holds of events that are under way, 128 bytes per event included.",
		},
		option.Spec{
			Name: "fail_if_throttled",
			Doc:  "Give throttled events back to the host at once, which retries them, instead of retrying them within the flush.",
		},
		option.Spec{
			Name: "ordering",
			Details: "Strict holds for events of one chunk, and from chunk to chunk as long as the host hands them over one after the other, with `workers` 0 or 1, and does not retry. " +
				"A reader has to skip what it has seen before: after a lost answer an event is sent again. Not for events without a key, nor where Kinesis chooses the shard.",
		},
		option.Spec{
			Name: "record_ttl", Hints: []string{"max_retries: records are retried until they are in; see record_ttl and the host's retry_limit"},
			Doc: "Give up on an event that is not confirmed this long after it was submitted: it goes to the dead letter file, or is lost if there is none.",
		},
		option.Spec{
			Name: "request_timeout", ZeroMeans: "the default", // the AWS plugin's default is 0
			Hints: []string{"timeout: write flush_timeout, request_timeout or connect_timeout"},
			PeerC: "`net.*`", PeerGo: "http_request_timeout, in seconds; 0, the default, is no limit",
		},
	)
}

func sharedDeadLetter() []Option {
	part := func(c *Config) *table.DeadLetter {
		return &table.DeadLetter{File: &c.DeadLetterFile, MaxBytes: &c.DeadLetterMaxBytes, MaxFiles: &c.DeadLetterMaxFiles, DropOldest: &c.DeadLetterDropOldest}
	}
	return option.With(option.Of("dead_letter_", part, table.DeadLetterOptions()),
		option.Spec{
			Name: "dead_letter_file", Hints: []string{"dead_letter", "dlq_path"},
			Details: "Events over the limit, events that Kinesis refuses as invalid, events that cannot be decoded, and those of record_ttl. The event counts as done when it is safely on disk; if it cannot be written, the chunk " +
				"is retried. `kpl-replay` sends the dead letters again. Each output needs a file of its own.",
		},
		option.Spec{Name: "dead_letter_max_size", Default: "256M", Min: 1e6, Max: 1e12},
		option.Spec{
			Name: "dead_letter_max_files",
			Doc:  "Full dead letter files that are kept. When there are more, dead letters wait, and their chunks are retried, until one is taken away.",
		},
	)
}

func sharedJournal() []Option {
	return option.With(option.Of("journal_", func(c *Config) *table.Journal { return &c.Journal }, table.JournalOptions()),
		option.Spec{
			Name: "journal_dir",
			Details: "Each output has a folder of its own below it, by its alias or its name in the host (`kpl.0`): give outputs an `alias`, or their order in the configuration counts. " +
				"Use it with `storage.type filesystem`, without which the host forgets its chunks. If the journal cannot be used, an error in the log says so, and delivery goes on at least once. See docs/journal.md.",
			PeerC: "no option", PeerGo: "no option",
		},
		option.Spec{Name: "journal_size", Default: "64M", Min: 1e6, Max: 16e9},
	)
}

func sharedCombine() []Option {
	part := func(c *Config) *table.Combine {
		return &table.Combine{Form: &c.event.Combine, Size: &c.event.CombineSize, Count: &c.event.CombineCount}
	}
	return option.With(option.Of("", part, table.CombineOptions()),
		option.Spec{
			Name: "combine",
			Doc:  "Make one record of the events of a chunk that have stream and partition key in common, in their order; without a key, of all of them.",
			Details: "`lines` ends each event with a line feed, `json_array` makes a JSON array. compression is that of the record then, which saves most of the bytes: logs compress 5 to 20 times together, and hardly one by one. " +
				"A text of log_key that has line breaks is a JSON string. Consumers have to split records into events, see [consumers](consumers.md). append_newline has no effect.",
			PeerC: "`simple_aggregation` is `lines`", PeerGo: "no option",
		},
		option.Spec{
			Name:    "combine_size",
			Details: "Each record is a Kinesis record with aggregation off, and on streams with record distribution AUTO. A record that is larger than the stream takes after compression is halved, event by event.",
		},
		option.Spec{
			Name:    "combine_count",
			Details: "500 where Amazon Data Firehose partitions dynamically, since it takes no more out of a record.",
		},
	)
}

func sharedMetrics() []Option {
	part := func(c *Config) *table.Metrics {
		return &table.Metrics{Level: &c.metricsLevel, Granularity: &c.metricsGranularity}
	}
	return option.With(option.Of("metrics_", part, table.MetricsOptions()),
		option.Spec{
			Name: "metrics_level", Default: "detailed",
			Doc:     "How much of the metrics kpl_* shows beside the host's own, for instance at /api/v2/metrics/prometheus.",
			Details: "`detailed` is what the dashboard shows. `summary` leaves out histograms, error codes and what has the level detailed in metrics.md, and reads only what exists anyway. Hosts that do not export their metrics functions show none.",
		},
		option.Spec{
			Name: "metrics_granularity", Default: "stream",
			Doc: "Finest label of the metrics. With shard and metrics_level detailed there is a series for each shard.",
		},
	)
}

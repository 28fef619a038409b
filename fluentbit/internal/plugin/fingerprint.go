// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/event"
)

// notShaping are the fields of Config that shape no record and say nothing about which
// stream it goes to. Any other field is part of the fingerprint of a chunk's records.
var notShaping = []string{
	// How Kinesis is reached, and how the producer delivers records.
	"AWS.ExternalID", "AWS.STSEndpoint", "AWS.MaxConnections", "AWS.ConnectTimeout", "AWS.FIPS", "AWS.DualStack",
	"AWS.Proxy", "AWS.CAFile", "AWS.SkipVerify", "AWS.ExtraUserAgent", "AWS.StartupCheck", "Producer",
	"FlushTimeout",
	// What becomes of records that were not stored. The part of oversize that shapes
	// records is in event.
	"Oversize", "DeadLetterMaxBytes", "DeadLetterMaxFiles", "DeadLetterDropOldest",
	// Which streams there is room for is noted in the plan of a chunk.
	"event.MaxStreams", "event.StreamIdle",
	// What outlives the process.
	"Journal", "journal",
	// What is seen from outside.
	"metricsLevel", "metricsGranularity", "observer", "notices", "given",
	"shaper", // made of event
}

// fingerprint is that of the records which are made under c. Whether there is a place for
// dead letters decides what of a chunk becomes one.
func (c Config) fingerprint(deadLetters bool) delivery.Fingerprint {
	if c.DeadLetterFile = ""; deadLetters {
		c.DeadLetterFile = "a file"
	}
	return delivery.FingerprintOf(event.EncoderVersion, c, notShaping...)
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// notShaping are the options that shape no record and say nothing about where it goes. Any
// other one is part of the fingerprint of a body's records. What the request itself says,
// its stream, partition key and format, is in the scope of the body.
var notShaping = []string{
	// Who may send, how, and how much: what they do not admit has no records.
	"Server", "TLS", "Auth", "Limits", "Native.Listen", "Native.Credentials", "Route.Match", "Route.Streams",
	// How Kinesis is reached, and how the producer delivers records.
	"AWS.ExternalID", "AWS.STSEndpoint", "AWS.MaxConnections", "AWS.ConnectTimeout", "AWS.FIPS", "AWS.DualStack",
	"AWS.Proxy", "AWS.CAFile", "AWS.SkipVerify", "AWS.ExtraUserAgent", "AWS.StartupCheck", "Producer",
	// What becomes of events once they were put. Which of them are put is for the policies
	// of the route.
	"Ledger", "Journal", "DeadLetter", "Route.Invalid", "Route.AckTimeout", "Route.RetryAfter",
	// What is seen from outside.
	"Metrics", "Log", "origins",
	"Routes", // each is a Route
}

// ownSize stands for the default of route.combine_size where each record is a Kinesis
// record of its own. No option has that value.
const ownSize = -1

// fingerprintOf is that of the records made of bodies by a route. own tells that each is a
// Kinesis record of its own.
func fingerprintOf(all *config.Config, r config.Route, own bool) delivery.Fingerprint {
	c := *all
	if c.Route = r; own && r.CombineSize == 0 {
		c.Route.CombineSize = ownSize
	}
	return delivery.FingerprintOf(body.EncoderVersion<<16|event.EncoderVersion, c, notShaping...)
}

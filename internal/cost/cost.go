// SPDX-License-Identifier: Apache-2.0

// Package cost computes what writing to Kinesis costs, for kplcat, for the demo and for
// the tables in docs. It is the one place of the prices and of the rules by which Kinesis
// counts.
//
// The prices are those of US East (N. Virginia). Other regions have others. They leave out
// retention, consumers and taxes.
package cost

import (
	"math"

	"github.com/outkpl/outkpl/core"
)

// Prices in USD. The rules are those of
// https://aws.amazon.com/kinesis/data-streams/pricing/. That page shows its prices by script
// only; they are from
// https://caylent.com/blog/amazon-kinesis-data-streams-on-demand-vs.-provisioned-billing-mode-cost-comparison
// (of 2023-09-21; both checked 2026-11-24).
const (
	// USDPerUnit is for a PUT payload unit and USDPerShardHour for a shard, both of a
	// provisioned stream.
	USDPerUnit      = 0.014e-6
	USDPerShardHour = 0.015
	// USDPerGiB is for what is written, and USDPerStreamHour for the stream, on demand.
	USDPerGiB        = 0.08
	USDPerStreamHour = 0.04

	// Region and Date are of the prices.
	Region = "US East (N. Virginia)"
	Date   = "2023-09-21"

	// HoursPerMonth is what a month has.
	HoursPerMonth = 730
)

// What a shard takes in a second.
const (
	shardBytes   = 1 << 20
	shardRecords = 1000
)

// billedStep is what a record is rounded up to on demand.
const billedStep = 1024

// Units is what a Kinesis record of size bytes counts on a provisioned stream. The
// partition key is part of the size.
func Units(size int) int64 {
	return max(1, int64(size+core.PutPayloadUnit-1)/core.PutPayloadUnit)
}

// BilledBytes is what a Kinesis record of size bytes counts on an on-demand stream.
func BilledBytes(size int) int64 {
	return max(1, int64(size+billedStep-1)/billedStep) * billedStep
}

// ProvisionedUSD is the price of units, without the hours of shards.
func ProvisionedUSD(units int64) float64 { return float64(units) * USDPerUnit }

// OnDemandUSD is the price of billed bytes, without the hours of the stream.
func OnDemandUSD(billed int64) float64 { return float64(billed) / (1 << 30) * USDPerGiB }

// Writes are Kinesis records in sum; or, in each second, a rate.
type Writes struct {
	// Records and Bytes count what is written, partition keys included.
	Records, Bytes float64
	// Units and Billed are what Kinesis counts: PUT payload units, and bytes on demand.
	Units, Billed float64
}

// Add counts n records of size bytes.
func (w *Writes) Add(n float64, size int) {
	w.Records += n
	w.Bytes += n * float64(size)
	w.Units += n * float64(Units(size))
	w.Billed += n * float64(BilledBytes(size))
}

// Times multiplies all of w.
func (w Writes) Times(f float64) Writes {
	return Writes{w.Records * f, w.Bytes * f, w.Units * f, w.Billed * f}
}

// Shards is how many shards take the rate w, without room for peaks and uneven keys.
func (w Writes) Shards() float64 {
	return math.Ceil(max(w.Records/shardRecords, w.Bytes/shardBytes))
}

// Provisioned is the price of a month at the rate w: units and shards.
func (w Writes) Provisioned() float64 {
	return w.Units*USDPerUnit*3600*HoursPerMonth + w.Shards()*USDPerShardHour*HoursPerMonth
}

// OnDemand is the price of a month at the rate w: bytes and the stream.
func (w Writes) OnDemand() float64 {
	return w.Billed*3600*HoursPerMonth/(1<<30)*USDPerGiB + USDPerStreamHour*HoursPerMonth
}

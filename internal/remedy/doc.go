// SPDX-License-Identifier: Apache-2.0

// Package remedy is the one table of what goes wrong on the way to Kinesis: by the code of
// an answer or the kind of a failed call, what the cause is, what to do about it, and which
// permission or option it takes. The log lines of the producer and of both receivers, the
// status page, "kplcat doctor" and docs/troubleshooting.md have it from here.
//
//	r := remedy.Find("RequestFailed", detail, err)
//	log.Error("cannot put records", "cause", r.Cause, "advice", r.Advice(remedy.Plugin, "kinesis:PutRecords"))
//
// # Guarantees
//
//   - Find always returns a Remedy; what is not known has one that says where to look.
//   - Programs name options in their own way: Names turns the names of the table into
//     those of a program. Tests of the programs hold that these options exist.
//   - It imports the standard library alone, since core imports it.
package remedy

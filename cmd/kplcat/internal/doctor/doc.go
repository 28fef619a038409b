// SPDX-License-Identifier: Apache-2.0

// Package doctor looks at everything between a program and a Kinesis stream, and says
// what to do about what it finds.
//
//	findings := doctor.Examine(ctx, doctor.Config{Client: client, Stream: "logs", Role: doctor.Producer, Now: time.Now})
//	for _, f := range findings {
//		fmt.Println(f.Level, f.Check, f.Detail, f.Advice)
//	}
//
// # Guarantees
//
//   - No record is written and nothing of the stream is changed. PutRecords is
//     called as a dry run, and only on AWS itself: other servers do not know dry runs
//     and would store the record. It is also left out if a dry run of a read shows that the
//     service does not know them.
//   - At most one page of ListShards and one GetRecords call at the tip of a shard
//     are asked for, so that consumers of the stream do not notice.
//   - Findings hold no secrets.
//
// # Limits
//
// Whether a dry run checks the KMS key of a stream is not documented. Through a
// proxy, name and connection are not checked on their own. It was not tried on AWS.
package doctor

// SPDX-License-Identifier: Apache-2.0

// Package delivery brings contents into Kinesis for receivers: chunks of Fluent Bit, or
// bodies of HTTP requests. A receiver reads its input and makes records of it; what is
// still missing of a content that comes again, what failed for good and where that goes,
// and when the content is done, is decided here, the same for all receivers.
//
//	deliverer := delivery.New(delivery.Config{PutBatch: producer.PutBatch, DeadLetters: file})
//	...
//	d, again := deliverer.Take(scope, body)
//	c := &delivery.Content{Scope: scope, Bytes: body, Stream: "logs", Probe: delivery.NoProbe, Receiver: policies}
//	c.Records = recordsOf(body)
//	switch out := deliverer.Deliver(ctx, d, c); out.State {
//	case delivery.Stored:     // 200
//	case delivery.Unfinished: // 503: send it again, and only what is missing is put
//	...
//
// # Words
//
//   - A content is what came in one piece. It is known by its Scope, which has a
//     Fingerprint of everything that shapes its records, and its bytes; so the numbers of
//     its records mean the same each time it comes.
//   - An attempt is one try to bring what is missing into one stream.
//   - A Receiver says what becomes of a record that failed (Disposition), and counts and
//     logs what it is told.
//   - The Outcome says whether everything is settled, and why not.
//
// # The way of a content
//
// Deliver takes these steps in this order, and the third and fourth of them once more if an
// attempt of an earlier call has failed:
//
//   - What Take knows of it (deliverer.go) and what it holds say what is missing (delivery.go).
//   - The journal notes that (journal.go).
//   - Attempts are begun for it, by stream: an attempt writes the dead letters that are known,
//     puts records, and sorts what fails of them (attempt.go).
//   - Attempts are waited for, and those that have ended are taken (wait.go).
//   - The outcome follows, and what is unfinished is remembered (outcome.go).
//
// # Guarantees
//
//   - A record that Kinesis has confirmed is not resent when its content comes again,
//     as long as the ledger remembers the content.
//   - Stored means that each record is confirmed, kept as a dead letter, or left out as
//     configured. What no option asks to leave out makes the outcome Lost.
//   - Dead letters that are known before anything is put are written before it. A record
//     that becomes one counts as settled once it is durable, and is retried before.
//   - The probe of a content is put before anything else of it is written. While it has
//     not been stored, the whole content can be rejected.
//   - What is under way when a call ends goes on, and the next call waits for the same
//     batches. Their failures are followed by an attempt of that call.
//   - The memory of a content's records is kept until nothing reads them any more.
//     Between calls a content is some numbers, and the records only of what is under way.
//   - No goroutine and no allocation for each record: goroutines are one for each detached
//     attempt and, while a call waits for several streams, one for each but the first.
//
// # Limits
//
//   - The ledger is memory of one process; see package ledger for what it cannot know.
package delivery

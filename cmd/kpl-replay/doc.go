// SPDX-License-Identifier: Apache-2.0

// Command kpl-replay puts dead letters into Kinesis again: each into its own
// stream, or all into another one.
//
//	kpl-replay --list dead-*.ndjson                     # how many, by stream and reason
//	kpl-replay --dry-run --reason too_large dead-*.ndjson
//	kpl-replay --region eu-west-1 --to logs-large --failed still.ndjson dead-*.ndjson
//
// What is done is noted in FILE.done, record by record, so that the command can be
// stopped and started again, also with other filters, without sending a dead letter
// twice. If it is killed, the dead letters that were under way (at most 2,000) are sent
// again, and the next run says how many. FILE is not changed.
//
// A file that was compressed with gzip is unpacked, and one that begins with a byte order
// mark is read without it. FILE.gz shares the notes of FILE.
//
// A file that a process is writing to is not replayed, only its full predecessors
// are; --list and --dry-run work at any time. FILE may be "-" for standard input,
// without memory of what is done.
//
// The exit code is 0 when everything selected is in Kinesis, now or before; 1 when
// something is not, be it refused again, unreadable, or left because of an error or
// an interrupt; and 2 for a wrong command line.
//
// Neither data nor keys are ever printed.
package main

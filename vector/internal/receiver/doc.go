// SPDX-License-Identifier: Apache-2.0

// Package receiver takes log events over HTTP and hands them to the producer. Any
// shipper that can post over HTTP can so write to Kinesis: Vector, Fluent Bit,
// Fluentd, Logstash, OTLP exporters, curl.
//
//	producer, err := core.New(client, cfg.Producer.Options()...)
//	...
//	server, err := receiver.New(cfg, producer, receiver.Deps{Logger: logger})
//	...
//	server.Handle("/metrics", metricsHandler) // on the admin listener
//	err = server.Run(ctx)                     // until ctx ends, then drains and closes the producer
//
// # Guarantees
//
//   - 200 means that Kinesis has confirmed every event of the body, but for those
//     that can never be stored and that the configuration says to drop or to keep as
//     dead letters. Those are counted.
//   - Whatever may pass is answered with 503 and Retry-After, which all shippers retry.
//     A body that can never be taken is answered with 422, which makes all of them go on
//     to the next one, and only if nothing of it was written: the whole body is checked
//     before the first put.
//   - A client that goes away, or is told 503 because Kinesis takes too long, does
//     not stop a delivery. When the same body comes again, the request waits for
//     that delivery, and only what failed is resent. The same holds for a body
//     that begins with the same events.
//   - Memory for bodies is taken out of one budget before a body is read and given
//     back when its last record has settled. Connections, headers, time and streams
//     are bounded.
//   - Credentials are checked in constant time before a byte of the body is read.
//   - Answers are complete, carry Content-Length and are shorter than 4096 bytes.
//   - On the end of Run's context everything that was answered with 200 is in
//     Kinesis.
//
// # Limits
//
// Delivery is at least once. A body is written twice if its client sends it again to
// another process or from another address, after this process was restarted, after the
// ledger has evicted it, or before the end of the first request is noticed. Events of
// one body may be stored in any order.
//
// A body that was given up by its client, but delivered, stands for the next one of the
// same bytes from the same client within ledger.age, and for the first events of one that
// begins with them.
package receiver

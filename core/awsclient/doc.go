// SPDX-License-Identifier: Apache-2.0

// Package awsclient makes the Kinesis client that package core needs out of the
// settings a user gives: region, endpoint, profile, role.
//
// What it does that a plain SDK client does not:
//
//   - The SDK's retries are off. They would hide attempts from the producer,
//     double its backoff and send whole requests again for one record.
//   - Credentials that Kinesis calls expired are thrown away at once, so that
//     the next attempt fetches new ones.
//   - The request body has no WriteTo. With it, the SDK may close a connection
//     on which the answer is being read; the records are stored and the caller
//     sees an error, so that they are stored twice
//     (https://github.com/aws/aws-sdk-go-v2/issues/2737).
//   - PutRecords requests are written in one pass into memory that is used again;
//     the SDK's own serializer takes half of the time of a call. Signatures,
//     endpoints, answers and errors are the SDK's.
//   - Connections are HTTP/1.1: for large requests it costs less than HTTP/2, and a
//     stalled connection holds up one request only.
//
// Use:
//
//	client, err := awsclient.New(ctx, awsclient.Config{Region: "eu-central-1"})
//	if err != nil {
//		return err
//	}
//	producer, err := core.New(client)
//
// New does not use the network. Credentials come from the SDK's default chain
// (environment, shared files, web identity, container, instance metadata),
// optionally with a role assumed on top.
package awsclient

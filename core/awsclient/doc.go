// SPDX-License-Identifier: Apache-2.0

// Package awsclient makes the Kinesis client that package core needs out of the
// settings a user gives: region, endpoint, profile, role.
//
// What it does that a plain SDK client does not:
//
//   - The SDK's retries are off. They would hide attempts from the producer,
//     double its backoff and send whole requests again for one record.
//   - Credentials rotate without a restart, also those of files. When a service refuses
//     them (expired, unknown, wrong signature), the next attempt resolves the whole chain
//     anew, once for all who wait, with a backoff of 1 to 30 seconds that a changed file
//     cuts short. A change of the shared files counts within two minutes though nothing
//     is refused.
//   - An endpoint is used as it is. With AWS_USE_FIPS_ENDPOINT or the like beside it, the
//     SDK refuses each call.
//   - Config.STSEndpoint is for every call of STS, and not for Config.RoleARN alone.
//   - The request body has no WriteTo. With it, the SDK may close a connection
//     on which the answer is being read; the records are stored and the caller
//     sees an error, so that they are stored twice
//     (https://github.com/aws/aws-sdk-go-v2/issues/2737).
//   - Requests go in CBOR, without base64, where the endpoint has shown that it knows it; see
//     Config.WireFormat. Answers are read by their Content-Type.
//   - PutRecords requests are written in one pass into memory that is used again;
//     the SDK's own serializer takes half of the time of a call. Signatures,
//     endpoints, and what is JSON beside that, are the SDK's.
//   - Several records of TLS are written with one system call. crypto/tls makes one for each 16 KiB.
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
// optionally with a role assumed on top. Load is for programs with clients of other
// services, which then have the same credentials and connections.
package awsclient

// SPDX-License-Identifier: Apache-2.0

// Package ledger remembers how far the delivery of some content got, so that a
// second delivery of the same bytes sends only what is still missing. The content
// is a chunk of Fluent Bit or the body of an HTTP request. A client that sends it again gives it no name, so it is known by its bytes.
//
//	l := ledger.New[*delivery](ledger.Limits{Bytes: 128 << 20})
//	...
//	d, again := l.Take(scope, chunk)
//	if !again {
//		d = newDelivery()
//	}
//	if d.finish(ctx, chunk) { // sends what d says is missing
//		return ok
//	}
//	l.Put(scope, chunk, d)
//	return retry
//
// # Guarantees
//
//   - The identity of content is its scope (tag, or route and client, and the fingerprint
//     of what shapes its records), its length, and 128 bits of its SHA-256. Bytes are
//     chosen by strangers and a collision would lose content, hence a hash that is hard
//     to collide on purpose.
//   - Take looks at the bytes only if there is an entry of the same scope and
//     length; usually there is none, and Take costs a map lookup.
//   - An entry is out of the ledger while its content is being delivered: Take
//     removes what it returns. So of two equal contents the one that comes while
//     the other is in flight is delivered on its own, and if both are to come
//     again, there are two entries, of which each Take returns one, the oldest
//     first.
//   - Entries, their bytes and their age are bounded. What is too old has expired;
//     what has no room is evicted, the oldest first, and its content would be
//     sent whole again. Before something is evicted for its bytes, the entries
//     are asked to give memory back.
//   - All methods are safe for concurrent use. No goroutine is started, and methods
//     of entries are called without a lock held.
//
// # Content that has grown
//
// Some clients put what has come in the meantime behind what failed, and send it all
// again. PutParts remembers content by its parts, too, and TakeBeginning finds it for
// content that begins with the same parts. Parts are compared and not bytes: so an array
// that has grown is known although its last byte is another one, and what merely begins
// with the same bytes, but breaks off in the middle of a part, is not.
//
//   - A row of parts is known by its scope, its number and 128 bits of SHA-256 over all
//     of them. Before anything is hashed that way, the first part is looked up.
//   - What is returned covers exactly its own parts; the caller delivers the rest.
//   - Parts that come by themselves, such as a line without a time, are more likely to
//     come twice than whole contents. The caller has to tell which contents are to be
//     known by their beginning.
//
// # Deliveries that go on while they are remembered
//
// An entry may hold a *core.Batch that has not settled: it goes on by itself. A receiver
// whose client is gone, or whose deadline for an answer has passed, parks such a
// delivery with Put. When the client comes again with the same bytes, Take returns
// the delivery, and the receiver waits for the same batch and sends only what failed,
// see the example. Nothing is parked while a client still waits for its answer; so
// two equal bodies of two clients are both delivered. A delivery of which nothing is
// missing may be parked, too, when its answer could not be written.
//
// # Limits
//
//   - A parked delivery whose client never comes again is taken for the next equal
//     content of the same scope, which then is not sent. Scopes should tell clients
//     apart where they can, and Age should be no longer than a client waits
//     between two attempts.
//   - Content that comes again before its first delivery is parked (a proxy hides
//     that the client is gone, or the receiver has not noticed yet) finds nothing and
//     is sent twice.
//   - It is memory of one process, and lost with it.
package ledger

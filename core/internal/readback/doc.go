// SPDX-License-Identifier: Apache-2.0

// Package readback finds out whether Kinesis records are stored of which that is open,
// because the answer to their call was lost or says nothing. It reads the shards in which
// they may be and looks for their partition keys, which no other record has.
//
//	r := readback.New(readback.Config{Settle: int64(time.Second), Calls: 2, Concurrent: 16})
//	r.Add(entry, now)                        // what is open
//	for c := r.Next(now); c != nil; c = r.Next(now) {
//		res := c.Do(ctx, client, &name, arn)     // without a lock, in a goroutine
//		for _, s := range r.Done(c, res, now) {} // stored, missing, or not to be found out
//	}
//	late := r.Late(now)                      // whose time is up
//
// What it guarantees:
//
//   - An entry is reported as stored only with the place where its key was read.
//   - An entry is reported as missing only if everything has been read that its shard,
//     and the shards that came out of it, have stored since its call began, up to the tip
//     (MillisBehindLatest is 0) in a read that began Settle after the end of the call. An
//     empty page proves nothing.
//   - No clock but the caller's monotonic one is used, and the time of the service, which
//     the caller got from it. A read begins after a sequence number that the shard gave
//     before the call, or at such a time.
//   - One call for a shard is under way at a time, for all its entries. Where more is written
//     than may be read, an entry far ahead of what is read has reads of its own, which begin
//     where its record is most likely and go first. They are joined with the others once these
//     have come there.
//   - In a second, Calls calls begin for a shard at most, and Calls times BytesPerCall are read
//     from it, on average over a few seconds. What is remembered of it is bounded. After a
//     throttle or another failure it waits, longer and longer.
//   - It starts nothing by itself: no goroutine, no timer, no call while nothing is open.
//
// A Reader is not safe for concurrent use: one lock of the caller guards it. Moments are
// nanoseconds of any monotonic clock.
package readback

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"log/slog"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"github.com/outkpl/outkpl/core/internal/readback"
)

// Read-back: when the answer to a call is lost or says nothing, its records are not sent
// again at once. Package readback looks for them in their shards, by the partition keys that
// their aggregates have for this purpose, and what is found is confirmed as if an answer
// had named the shard. What is missing is sent again, with the same bytes and the same key,
// so that a copy that is stored late confirms it. What cannot be found out in time is sent
// again and counted as uncertain, as without read-back.

// ReadClient is what a Client needs besides for WithVerifyUncertain. *kinesis.Client
// implements it.
type ReadClient interface{ readback.API }

// WithVerifyUncertain switches read-back on: records whose call ends without an answer that
// says whether they are stored are looked for in the stream before they are sent again.
// This takes the place of most duplicates. Default: off.
//
// The client must have the methods of ReadClient, and the role needs kinesis:GetRecords
// and kinesis:GetShardIterator; without the permission one warning is logged and things
// are as without read-back. While no record is uncertain, nothing is called.
//
// Aggregates get partition keys of their own of 16 characters, where others have "a". A
// record that leaves alone is wrapped as an aggregate of one, which costs some 60 bytes,
// but not with WithAggregation(false), on AUTO streams, without a shard map, after Kinesis
// has refused it in company, and where its size is that close to the limit of the stream:
// then it is sent again as without read-back.
func WithVerifyUncertain(on bool) Option {
	return optionFunc(func(c *config) { c.verify = on })
}

// WithVerifyLimits bounds what WithVerifyUncertain does. A record is sent again at the
// latest when this much time has passed since its call began, the call included: default
// 10 s, range 2 s to 10 min. In a second, so many calls are made for a shard at most, each
// of which reads 100 kB on average: default 2, a tenth of what a shard gives all its
// consumers; range 2 to 5, which is all calls that a shard takes. Records of so many bytes
// are uncertain at one time, and others are sent again at once: default 16 MiB, range 64
// KiB to 16 GiB.
func WithVerifyLimits(within time.Duration, callsPerSecond, bytes int) Option {
	return optionFunc(func(c *config) { c.verifyTime, c.verifyCalls, c.verifyMemory = within, callsPerSecond, bytes })
}

const (
	// verifySettle is how long after the end of a call a read has to begin to show that a
	// record of the call is missing.
	verifySettle = time.Second
	// verifySlack is how long before the time of a call, as the service has told it, the
	// read begins where the shard has confirmed nothing lately.
	verifySlack = time.Minute
	// verifyRecent is how long before a call a record was confirmed for the read to begin there, and
	// not at the time of the call.
	verifyRecent = time.Second
	// verifyReads bounds the reads of a stream that are under way at one time.
	verifyReads = 16
	// verifyReadTimeout bounds one read.
	verifyReadTimeout = 3 * time.Second
	// verifyDeniedPause is how long nothing is read after a read was denied.
	verifyDeniedPause = 10 * time.Minute
	// verifyOverhead is what an uncertain record takes in memory besides its bytes.
	verifyOverhead = 512
)

// verification is what a pipeline has for read-back. All of it is empty if that is off.
type verification struct {
	reader *readback.Reader // nil if read-back is off
	// confirmed has the last record that each shard has confirmed.
	confirmed map[*shard]*confirmedRecord
	// places are shards that have records of an earlier process, and whose ranges are wanted,
	// with a sequence number from there.
	places    map[string]string
	deniedEnd int64 // until then nothing is read
	denied    bool  // the log says so
	useless   bool  // the log says that records cannot be looked for
}

// confirmedRecord is the last record that a shard has confirmed, and when its answer came. It is
// noted for each, and needed as a place for a few only, so it has memory of its own.
type confirmedRecord struct {
	number []byte
	place  *sentPlace // of number, once it was needed
	at     int64
}

// sentPlace says where what a shard stores comes: after a sequence number, which was confirmed at a moment.
// All records that are sent until the next one is confirmed share it.
type sentPlace struct {
	after string
	at    int64
	again *lastCall // of a record that is sent again though it may be stored
}

// lastCall is where the last call for a record began that an earlier one may have stored. It is most
// likely here, since what the earlier one has stored was looked for before.
type lastCall struct {
	at    int64
	place *sentPlace
	calls int // with the first one
}

// sentPlace returns where that is, nil if its answer did not come within verifySlack: what was
// confirmed long ago says less than the time of the service.
func (c *confirmedRecord) sentPlace(now int64) *sentPlace {
	if c == nil || len(c.number) == 0 || now-c.at >= int64(verifySlack) {
		return nil
	}
	if c.place == nil {
		c.place = &sentPlace{after: string(c.number), at: c.at}
	}
	return c.place
}

// number returns the sequence number, empty if there is none.
func (p *sentPlace) number() string {
	if p == nil {
		return ""
	}
	return p.after
}

// isRecent tells whether little can be between the place and what was sent then.
func (p *sentPlace) isRecent(sentAt int64) bool {
	return p != nil && sentAt-p.at < int64(verifyRecent)
}

// serviceTime is a time that Kinesis has told, or that follows from earlier ones, and when it came.
type serviceTime struct {
	date time.Time
	at   int64
}

// uncertain is the owner of a readback.Entry.
type uncertain struct {
	kr *kinesisRecord
	v  classification
	a  Attempt
}

// initVerification prepares read-back.
func (pl *pipeline) initVerification() {
	if pl.cfg.verify {
		pl.verification.reader = pl.newVerifyReader()
		pl.verification.confirmed = map[*shard]*confirmedRecord{}
		pl.verification.places = map[string]string{}
	}
}

func (pl *pipeline) newVerifyReader() *readback.Reader {
	return readback.New(readback.Config{Settle: int64(verifySettle), Calls: pl.cfg.verifyCalls, Concurrent: verifyReads})
}

// noteServiceTime keeps the time of the service that an answer has. Called without the lock.
func (pl *pipeline) noteServiceTime(meta middleware.Metadata) {
	if !pl.cfg.verify {
		return
	}
	if date, ok := awsmiddleware.GetServerTime(meta); ok && !date.IsZero() {
		at := pl.p.clock()
		// Whole seconds are told: the true time is up to a second later.
		if last := pl.serviceTime.Load(); last != nil {
			if guess := last.date.Add(time.Duration(at - last.at)); guess.After(date) && guess.Before(date.Add(time.Second)) {
				date = guess
			}
		}
		pl.serviceTime.Store(&serviceTime{date: date, at: at})
	}
}

// serviceTimeAt returns a time of the service that is not after a moment, zero if it has
// not told any.
func (pl *pipeline) serviceTimeAt(at int64) time.Time {
	last := pl.serviceTime.Load()
	if last == nil {
		return time.Time{}
	}
	return last.date.Add(time.Duration(at-last.at) - verifySlack)
}

// noteConfirmed keeps the place of a record that a shard has confirmed.
func (pl *pipeline) noteConfirmed(sh *shard, number string) {
	last := pl.verification.confirmed[sh]
	if last == nil {
		last = &confirmedRecord{}
		pl.verification.confirmed[sh] = last
	}
	if len(number) < len(last.number) || len(number) == len(last.number) && number < string(last.number) {
		return // its call was answered late
	}
	last.number, last.place, last.at = append(last.number[:0], number...), nil, pl.now
}

// noteSent keeps where to look for the records of a request that leaves now. Those that
// were uncertain before are looked for where they were, too.
func (pl *pipeline) noteSent(req *request) {
	for _, kr := range req.records {
		if !kr.wrapped || kr.shard == nil {
			continue
		}
		now, place := max(pl.now, 1), pl.verification.confirmed[kr.shard].sentPlace(pl.now)
		if !kr.uncertain || kr.sentAt == 0 {
			kr.sentAt, kr.sent = now, place
			continue
		}
		var first sentPlace
		if kr.sent != nil {
			first = *kr.sent
		}
		calls := 2
		if first.again != nil {
			calls = first.again.calls + 1
		}
		first.again = &lastCall{at: now, place: place, calls: calls}
		kr.sent = &first
	}
}

// lastSent is where the last call for a record began.
func (kr *kinesisRecord) lastSent() (at int64, place *sentPlace) {
	if kr.sent != nil && kr.sent.again != nil {
		return kr.sent.again.at, kr.sent.again.place
	}
	return kr.sentAt, kr.sent
}

// verifyRecord has a record looked for of which it is open whether its call has stored it.
// It reports false if that cannot be done.
func (pl *pipeline) verifyRecord(kr *kinesisRecord, v classification, a Attempt) bool {
	w := &pl.verification
	if w.reader == nil {
		return false
	}
	kr.uncertain = true
	began := pl.clockAt(a.Start)
	last, place := kr.lastSent()
	e := &readback.Entry{
		Key: kr.key, Hash: kr.outer, After: kr.sent.number(), Since: pl.serviceTimeAt(kr.sentAt),
		Began: kr.sentAt, Ended: pl.clockAt(a.End), Until: began + int64(pl.cfg.verifyTime), Bytes: kr.size + verifyOverhead,
	}
	if at := pl.serviceTimeAt(last); !at.IsZero() {
		e.Near = at.Add(verifySlack)
	}
	if place.isRecent(last) {
		e.NearAfter = place.after
	}
	switch {
	case pl.meta.auto, !pl.cfg.aggregation:
		if !w.useless {
			w.useless = true
			pl.log(slog.LevelWarn, "records without aggregates cannot be looked for after a lost answer; they are sent again, and may be stored twice", "auto", pl.meta.auto)
		}
		return false
	case !kr.wrapped, kr.key == "", kr.shardID() == "", kr.sentAt == 0,
		pl.now < w.deniedEnd, e.Until <= pl.now,
		e.After == "" && e.Since.IsZero(),
		w.reader.Bytes()+e.Bytes > pl.cfg.verifyMemory,
		pl.hasAborted(kr), pl.hasExpired(kr):
		return false
	}
	e.Shard = kr.shard.id
	e.Owner = &uncertain{kr: kr, v: v, a: a}
	pl.countVerified(&pl.stats.VerifyOpened, MetricVerifyOpened, len(kr.items))
	pl.settleVerified(w.reader.Add(e, pl.now))
	return true
}

func (pl *pipeline) countVerified(stat *uint64, m Metric, n int) {
	*stat += uint64(n)
	pl.metrics.observe(m, "", "", 1, n)
}

// verifyDue does what is due for the uncertain records.
func (pl *pipeline) verifyDue() {
	r := pl.verification.reader
	if r == nil || r.Due(pl.now) > pl.now {
		return
	}
	for _, e := range r.Late(pl.now) {
		pl.giveUpVerify(e)
	}
	for c := r.Next(pl.now); c != nil; c = r.Next(pl.now) {
		pl.p.work.Add(1)
		go pl.readBack(c)
	}
}

// uncertainRecords returns how many records are looked for.
func (pl *pipeline) uncertainRecords() int {
	if pl.verification.reader == nil {
		return 0
	}
	return pl.verification.reader.Len()
}

// readBack makes one read. It runs in a goroutine that ends with it.
func (pl *pipeline) readBack(c *readback.Call) {
	defer pl.p.work.Done()
	res := pl.callReadBack(c)
	pl.locked("read back", func() {
		if pl.ended || pl.ctx.Err() != nil {
			return
		}
		pl.stats.VerifyReads++
		pl.metrics.observe(MetricVerifyReads, "", "", 1, 1)
		settled := pl.verification.reader.Done(c, res, pl.now)
		pl.noteReadFailed(c, res.Err)
		pl.settleVerified(settled)
		pl.verifyDue()
	})
}

func (pl *pipeline) callReadBack(c *readback.Call) (res readback.Result) {
	defer recoverTo(&res.Err, "GetRecords")
	ctx, cancel := context.WithTimeout(pl.ctx, min(pl.cfg.requestTimeout, verifyReadTimeout))
	defer cancel()
	return c.Do(ctx, pl.p.client.(ReadClient), &pl.stream.name, pl.stream.arn)
}

// noteReadFailed ends read-back for a while where it is not allowed.
func (pl *pipeline) noteReadFailed(c *readback.Call, err error) {
	w := &pl.verification
	if err == nil {
		if w.denied && c.Reads() { // an iterator is another permission
			w.denied = false
			pl.log(slog.LevelInfo, "uncertain records can be looked for again")
		}
		return
	}
	v := classifyCall(err)
	if v.action != actFail || v.reason != ReasonAccessDenied {
		pl.log(slog.LevelDebug, "cannot read a shard back; trying again as long as there is time", "shard", c.Shard, "code", v.code, "detail", v.message)
		return
	}
	w.deniedEnd = pl.now + int64(verifyDeniedPause)
	if !w.denied {
		w.denied = true
		pl.log(slog.LevelWarn, "records whose answer was lost cannot be looked for; they are sent again, and may be stored twice",
			"code", v.code, "detail", v.message, "needs", "kinesis:GetRecords and kinesis:GetShardIterator, and kms:Decrypt if the stream has a key of yours")
	}
	for _, e := range w.reader.RemoveAll() {
		pl.giveUpVerify(e)
	}
}

// settleVerified handles what was found out.
func (pl *pipeline) settleVerified(list []readback.Settled) {
	for _, s := range list {
		if d, ok := s.Owner.(*lookup); ok {
			pl.settleLookup(d, s)
			continue
		}
		u := s.Owner.(*uncertain)
		switch s.Outcome {
		case readback.Stored:
			pl.countVerified(&pl.stats.VerifyStored, MetricVerifyStored, len(u.kr.items))
			a := u.a
			a.End = pl.p.start.Add(time.Duration(pl.now))
			pl.recordStored(u.kr, &attemptNode{Attempt: &a, shardID: s.InShard, sequenceNumber: s.Number})
		case readback.Missing:
			pl.countVerified(&pl.stats.VerifyMissing, MetricVerifyMissing, len(u.kr.items))
			if s.ReadTo != "" {
				u.kr.sent, u.kr.sentAt = &sentPlace{after: s.ReadTo, at: s.ReadAt}, s.ReadAt
			}
			pl.resendVerified(u, false)
		default:
			pl.giveUpVerify(s.Entry)
		}
	}
}

// giveUpVerify handles a record of which it stays open whether it is stored.
func (pl *pipeline) giveUpVerify(e *readback.Entry) {
	if d, ok := e.Owner.(*lookup); ok {
		pl.settleLookup(d, readback.Settled{Entry: e, Outcome: readback.Unknown})
		return
	}
	u := e.Owner.(*uncertain)
	pl.countVerified(&pl.stats.VerifyGivenUp, MetricVerifyGivenUp, len(u.kr.items))
	pl.countUncertain(u.kr)
	pl.resendVerified(u, true)
}

// resendVerified does with a record what its answer asked for.
func (pl *pipeline) resendVerified(u *uncertain, open bool) {
	kr, v, a := u.kr, u.v, u.a
	v.uncertain, a.Uncertain = open, open
	if v.action == actFail {
		pl.failRecord(kr, v, a)
		return
	}
	pl.noteAttempts(kr, v, a)
	if pl.hasAborted(kr) || pl.hasExpired(kr) {
		pl.disaggregate(kr)
		return
	}
	waited := pl.now - pl.clockAt(a.End)
	pl.retryLater(kr, max(0, pl.backoff(int(kr.items[0].tries))-waited))
}

// giveUpVerified gives up the uncertain records that match.
func (pl *pipeline) giveUpVerified(match func(*kinesisRecord) bool) {
	if pl.uncertainRecords() == 0 {
		return
	}
	var list []*readback.Entry
	for _, e := range pl.verification.reader.Entries() {
		if u, ok := e.Owner.(*uncertain); ok && match(u.kr) {
			list = append(list, e)
		}
	}
	for _, e := range list {
		pl.verification.reader.Remove(e)
		pl.giveUpVerify(e)
	}
}

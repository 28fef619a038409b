// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
)

// fate is what becomes of a record that failed for good.
type fate uint8

const (
	fateLost fate = iota // the chunk is answered with Error
	fateLetter
	fateDrop // as an option asks for
)

// isFinal tells whether handing the record over again is of no use.
func (in *Instance) isFinal(err *core.RecordError) bool {
	return err.Reason.Permanent() || err.Reason == core.ReasonExpired && in.cfg.RecordTTL > 0
}

// fate applies the options.
func (in *Instance) fate(err *core.RecordError) fate {
	if err.Reason == core.ReasonTooLarge {
		switch in.cfg.Oversize {
		case oversizeDrop:
			return fateDrop
		case oversizeError:
			return fateLost
		}
	}
	switch {
	case in.letters != nil:
		return fateLetter
	case err.Reason == core.ReasonExpired:
		return fateDrop // record_ttl asks for it
	}
	return fateLost
}

const (
	// maxLetterAttempts bounds the attempts told of in a letter.
	maxLetterAttempts = 16
	// One write takes that many letters, or a little more than that many bytes.
	lettersOfOneWrite     = 500
	letterBytesOfOneWrite = 4 << 20
)

// dispose does with the records of s that failed for good what the options say. It
// returns the numbers of those that could not be kept and so must be tried again.
func (in *Instance) dispose(ctx context.Context, tag string, s *shipment, finals []final, d *delivery) (again []int32) {
	var letters []deadletter.Letter
	var bytes, from int
	for k, f := range finals {
		rec := &s.records[f.i]
		if in.fate(f.err) == fateLetter {
			attempts := s.batch.Result(f.i).Attempts
			letters = append(letters, deadletter.Letter{
				Time: time.Now(), Stream: s.stream, PartitionKey: rec.PartitionKey, ExplicitHashKey: rec.ExplicitHashKey,
				Reason: f.err.Reason.String(), Code: f.err.Code, Detail: f.err.Detail,
				Attempts: attempts[max(0, len(attempts)-maxLetterAttempts):], Data: rec.Data, Source: tag})
			bytes += len(rec.Data)
		}
		if len(letters) >= lettersOfOneWrite || bytes >= letterBytesOfOneWrite || k == len(finals)-1 {
			again = append(again, in.settle(ctx, s, finals[from:k+1], letters, d)...)
			letters, bytes, from = letters[:0], 0, k+1
		}
	}
	return again
}

// settle writes the letters about some of finals, and counts and logs all of them
// but those of which the letter could not be written.
func (in *Instance) settle(ctx context.Context, s *shipment, finals []final, letters []deadletter.Letter, d *delivery) (again []int32) {
	kept := len(letters) == 0 || in.write(ctx, letters)
	var refused refusals
	for _, f := range finals {
		fate := in.fate(f.err)
		if fate == fateLetter && !kept {
			again = append(again, s.number(f.i))
			continue
		}
		if fate == fateLost {
			d.lost = true
		}
		d.noted = true
		refused.add(f.err, fate, len(s.records[f.i].Data)+len(s.records[f.i].PartitionKey))
	}
	in.refuse(s.stream, &refused)
	return again
}

// bury writes letters about what is no record; true if all are kept.
func (in *Instance) bury(ctx context.Context, letters []deadletter.Letter) bool {
	for len(letters) > 0 {
		n, bytes := 0, 0
		for n < len(letters) && n < lettersOfOneWrite && bytes < letterBytesOfOneWrite {
			bytes += len(letters[n].Data)
			n++
		}
		if !in.write(ctx, letters[:n]) {
			return false
		}
		letters = letters[n:]
	}
	return true
}

// write makes letters durable. Some of a failed write may be kept all the same, and
// come again.
func (in *Instance) write(ctx context.Context, letters []deadletter.Letter) bool {
	err := in.letters.Write(ctx, letters)
	if err == nil {
		in.n.letters.Add(uint64(len(letters)))
		return true
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = errors.New("not written before flush_timeout has passed")
	}
	in.health.problem(outage{reason: "dead_letter", detail: err.Error()})
	return false
}

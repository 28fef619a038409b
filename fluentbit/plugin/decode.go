// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"io"
	"time"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/event"
)

// decode fills d.builder and d.records. It returns letters about what is no record,
// if they are to be written: they refer to chunk.
func (in *Instance) decode(tag string, chunk []byte, d *delivery) (letters []deadletter.Letter) {
	b := in.builder()
	d.builder = b
	b.Grow(len(chunk) + len(chunk)/4)
	var t tally
	keep := func(detail string, data []byte) {
		if in.letters != nil && !d.buried {
			letters = append(letters, deadletter.Letter{
				Time: time.Now(), Stream: in.cfg.Stream, Reason: deadletter.ReasonBroken, Detail: detail, Data: data, Source: tag})
		}
	}
	var r event.ChunkReader
	var ev event.Event
	for r.Reset(chunk); ; {
		if err := r.Next(&ev); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			broken := t.piece(err)
			keep(err.Error(), chunk[broken.Offset:broken.Offset+broken.Length])
			continue
		}
		o, err := b.Add(in.cfg.shaper, tag, &ev)
		if err != nil {
			t.broken(err, len(ev.Raw))
			keep(err.Error(), ev.Raw)
			continue
		}
		if t.outcome(o); o&event.Unroutable != 0 && in.buryUnroutable() {
			text, _, _ := event.AppendJSON(nil, ev.Body)
			keep("the stream template gives no stream: "+(o&^event.Unroutable).String(), text)
		}
	}
	d.records = b.Records()
	if d.decoded {
		return letters // counted and reported by the flush that saw the chunk first
	}
	d.decoded, d.total = true, len(d.records)
	d.all = d.total > 0
	d.noted = t.pieces+t.unroutable > 0
	// Broken events of which the end is known have no part in the answer: the host
	// would count the whole chunk as dropped. They are logged as errors.
	d.lost = t.lost > 0 && in.letters == nil || t.unroutable > 0 && !in.buryUnroutable()
	in.report(tag, len(chunk), d.total, &t)
	return letters
}

// buryUnroutable tells whether events without a stream go to the dead letter file.
func (in *Instance) buryUnroutable() bool {
	return in.letters != nil && in.cfg.streamMissing != "error"
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// Whatever goes wrong with an event, no line shows what is in it.
func TestNoLineShowsContents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithLimits(kinesistest.Limits{}))
		in, log := newReal(t, s, "stream", "$s", "stream_allow", "l*", "partition_key", "k", "time_key", "t", "metadata_key", "m", "group_key", "g")
		hush := "hush \u20ac"
		flush := func(chunk []byte) {
			for range 3 {
				in.Flush("tag", chunk)
			}
		}
		ok := eventOf(t, fields{"s": "logs", "k": hush, "log": hush})
		flush(ok)
		flush(slices.Concat(ok, pack(t, fields{"log": hush}), pack(t, hush)))                                                // broken
		flush(slices.Concat(ok, []byte{0xc1}, []byte(hush)))                                                                 // lost
		flush(slices.Concat(ok, eventOf(t, fields{"s": hush, "k": hush}), eventOf(t, fields{"log": hush})))                  // no stream
		flush(slices.Concat(ok, eventOf(t, fields{"s": "logs", "k": strings.Repeat(hush, 100)})))                            // key cut
		flush(slices.Concat(ok, eventOf(t, fields{"s": "logs", "k": hush, "log": strings.Repeat(hush, 1<<20)})))             // too large
		flush(slices.Concat(ok, eventOf(t, fields{"s": "lost", "k": hush, "log": hush})))                                    // no such stream
		flush(slices.Concat(ok, eventOf(t, fields{"s": "logs", "k": fields{hush: hush}, hush: bytes.Repeat([]byte{1}, 9)}))) // no key
		for _, effect := range []kinesistest.Effect{
			kinesistest.Fail("ValidationException", "1 validation error detected: Value '"+hush+"' at 'records.1.member.partitionKey' failed to satisfy constraint: Member must be nice"),
			kinesistest.Fail("InvalidArgumentException", "2 validation errors detected: Value 'it's' at '"+hush+"' at 'records.1.member.partitionKey' failed; Value 'x' at 'y' failed"),
		} {
			s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 100, Effect: effect})
			flush(ok)
		}
		if strings.Contains(log.String(), "hush") {
			for _, line := range strings.Split(log.String(), "\n") {
				if strings.Contains(line, "hush") {
					t.Errorf("unexpected line: %.600s", line)
				}
			}
		}
		if n := strings.Count(log.String(), "\n"); n < 8 {
			t.Errorf("unexpected log; got %d lines; want one about each failure:\n%s", n, log)
		}
	})
}

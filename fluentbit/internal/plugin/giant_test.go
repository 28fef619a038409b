// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// Chunks have no upper bound of size. What does not fit into the buffer goes in pieces,
// by way of retries, and nothing is sent twice.
func TestAChunkLargerThanTheBufferGetsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 4), kinesistest.WithLimits(kinesistest.Limits{}))
		in, _ := newReal(t, s, "buffer_size", "2M", "rate_limit", "1000", "flush_timeout", "500ms")
		var chunk []byte
		var want []string
		for i := range 2000 {
			log := fmt.Sprintf("%d %s", i, strings.Repeat("x", 5000))
			chunk = append(chunk, eventOf(t, fields{"log": log})...)
			want = append(want, fmt.Sprintf(`{"log":"%s"}`, log))
		}
		untilOK(t, in, "tag", chunk)
		wantExactly(t, consumed(t, s, "logs"), want)
	})
}

// Events of all depths up to the bound come through; deeper ones are left out, and do
// neither harm their neighbours nor the process.
func TestDepthBombs(t *testing.T) {
	in, p, _ := newTest(t, confirmAll)
	bomb := func(open string, n int, last string) []byte {
		return slices.Concat([]byte{0x92, 0x05, 0x81, 0xa1, 'a'}, []byte(strings.Repeat(open, n)), []byte(last))
	}
	chunk := slices.Concat(chunkOf(1),
		bomb("\x91", 63, "\x01"),                             // as deep as allowed
		bomb("\x91", 64, "\x01"),                             // one more
		bomb("\x91", 1<<20, "\x01"),                          // arrays
		bomb("\x81\xa0", 1<<20, "\x01"),                      // maps
		bomb("\x81", 1<<12, strings.Repeat("\x01", 1<<12+1)), // maps as keys
		chunkOf(2))
	wantCode(t, in.Flush("tag", chunk), OK)
	wantBatches(t, p, []string{`{"n":1}`, `{"a":` + strings.Repeat("[", 63) + "1" + strings.Repeat("]", 63) + "}", `{"n":2}`})
	if s := in.Stats(); s.Broken != 4 || s.LostBytes != 0 {
		t.Errorf("unexpected counters; got %+v; want 4 broken", s)
	}
}

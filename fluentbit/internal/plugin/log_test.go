// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
)

// A wrong template or a broken source may cost an event in every chunk, many times a
// second.
func TestLossesDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, log := newTest(t, func(_ int, b *fakeBatch) error { b.settleAll(core.ReasonTooLarge); return nil }, "stream", "$s")
		chunk := slices.Concat(streamed(t, "a"), []byte{0x92, 0xc3, 0x80}, chunkOf(1), []byte{0xc1})
		texts := []string{"can never be accepted", "cannot be decoded", "end of a chunk", "have no stream"}
		want := func(lines int, also string) {
			t.Helper()
			for _, text := range texts {
				if n := strings.Count(log.String(), text); n != lines || !strings.Contains(log.String(), also) {
					t.Errorf("unexpected lines %q; got %d; want %d, and %q; log:\n%s", text, n, lines, also, log)
				}
			}
		}
		for range 100 {
			in.Flush("tag", chunk)
		}
		want(1, "")
		<-time.After(repeatAfter)
		in.Flush("tag", chunk)
		want(2, "not_logged_before=99")
		in.Flush("tag", chunk)
		if err := in.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(3, "count=1 since=")
	})
}

func TestHealthsAreBounded(t *testing.T) {
	in, _, _ := newTest(t, confirmAll)
	in.healthOf("bad").problem(outage{reason: "x"})
	for i := range 3 * maxHealths {
		in.healthOf(fmt.Sprint(i))
	}
	if n := len(in.healths); n > maxHealths || in.healths["bad"] == nil {
		t.Errorf("unexpected number of streams remembered; got %d; want at most %d, and the one that fails", n, maxHealths)
	}
	for i := range 3 * maxHealths {
		in.healthOf(fmt.Sprint(i)).problem(outage{reason: "x"})
	}
	if n := len(in.healths); n > maxHealths {
		t.Errorf("unexpected number of streams remembered; got %d; want at most %d", n, maxHealths)
	}
}

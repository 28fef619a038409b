// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestAccountWithoutDescribeCallsLeftDoesNotHoldRecordsUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		limited := s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("LimitExceededException", "too many")})
		p := newProducer(t, s.Client())
		start := time.Now()
		records := batchOf("a", 100)
		wait(t, put(t, p, records))
		if got := time.Since(start); got == 0 || got > 2*time.Second {
			t.Errorf("unexpected wait; got %v; want up to 2 s", got)
		}
		checkDelivered(t, s, records)
		<-time.After(5 * time.Minute)
		if got := limited.Hits(); got < 5 || got > 30 {
			t.Errorf("unexpected number of calls in five minutes; got %d; want them to become rare", got)
		}
		limited.Remove()
		if err := s.SetMaxRecordKiB(stream, 2048); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		big := batchOf("big", 1)
		big[0].Data = make([]byte, 1500<<10)
		b := put(t, p, big)
		wait(t, b)
		if err := b.Err(); err != nil {
			t.Errorf("unexpected error of a record that the stream takes: %v", err)
		}
		closeProducer(t, p)
	})
}

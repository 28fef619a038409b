// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestExpiredIteratorGoesOnWhereItStopped(t *testing.T) {
	for i, at := range []At{Latest, TrimHorizon, Timestamp, Latest, Timestamp} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, tr *trial) {
				c := tr.config()
				if at != TrimHorizon {
					tr.send(20) // before: not wanted
					tr.put = 0
					settle(time.Second)
				}
				c.From, c.ScanTimes = From{At: at, Time: time.Now()}, i > 2
				stop := tr.follow(c)
				settle(10 * time.Second)
				f := tr.s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 4, Effect: kinesistest.Fail("ExpiredIteratorException", "Iterator expired.")})
				tr.send(20)
				settle(10 * time.Second)
				tr.s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 3, Effect: kinesistest.Fail("ExpiredIteratorException", "Iterator expired.")})
				tr.send(20)
				settle(10 * time.Second)
				_ = stop()
				tr.wantAll(0, 40)
				if f.Hits() != 4 {
					t.Errorf("unexpected faults; got %d; want 4", f.Hits())
				}
			})
		})
	}
}

// The iterator of a page that waits for the reader of the output expires after five
// minutes.
func TestSlowConsumerLosesNothing(t *testing.T) {
	bubble(t, 20, func(t *testing.T, tr *trial) {
		tr.send(400)
		c := tr.config()
		handle := c.Handle
		c.Handle = func(b Batch) error {
			settle(2 * time.Minute)
			return handle(b)
		}
		run1(t, c)
		tr.wantAll(0, 400)
	})
}

func TestThrottledCallsAreRepeated(t *testing.T) {
	bubble(t, 2, func(t *testing.T, tr *trial) {
		tr.send(50)
		for _, op := range []string{"ListShards", "GetShardIterator", "GetRecords"} {
			code := "ProvisionedThroughputExceededException"
			if op == "ListShards" {
				code = "LimitExceededException"
			}
			tr.s.Fault(kinesistest.Fault{Operation: op, Times: 30, Effect: kinesistest.Fail(code, "Rate exceeded")})
		}
		run1(t, tr.config())
		tr.wantAll(0, 50)
		if len(tr.warning) == 0 || !strings.Contains(tr.warning[0], "throttled") {
			t.Errorf("unexpected warnings; got %q; want one of throttling", tr.warning)
		}
	})
}

func TestPassingFaultsAreRepeatedSoOften(t *testing.T) {
	for _, tc := range []struct {
		name    string
		effect  kinesistest.Effect
		times   int
		retries int
		ok      bool
	}{
		{"a few 503", kinesistest.Status(503), 3, 3, true},
		{"a few resets", kinesistest.Reset(), 3, 3, true},
		{"too many", kinesistest.Fail("InternalFailure", "x"), 4, 3, false},
		{"access denied at once", kinesistest.Fail("AccessDeniedException", "no"), 1, 3, false},
		{"a token that was replaced", kinesistest.Fail("ExpiredTokenException", "old"), 1, 0, true},
		{"a token that stays old", kinesistest.Fail("ExpiredTokenException", "old"), 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, tr *trial) {
				tr.send(10)
				tr.s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: tc.times, Effect: tc.effect})
				c := tr.config()
				c.Retries = tc.retries
				err := Run(t.Context(), c)
				if (err == nil) != tc.ok {
					t.Fatalf("unexpected result; got %v; want success %t", err, tc.ok)
				}
				if tc.ok {
					tr.wantAll(0, 10)
				} else if !strings.HasPrefix(err.Error(), "cannot get records of shard shardId-000000000000: ") {
					t.Errorf("unexpected error; got %q; want it to say what failed", err)
				}
			})
		})
	}
}

// Who follows a stream for weeks logs in again, or has a file of keys that rotate.
func TestFollowingOutlivesCredentials(t *testing.T) {
	for _, code := range []string{"ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"} {
		t.Run(code, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, tr *trial) {
				stop := tr.follow(tr.config())
				settle(5 * time.Second)
				tr.s.Fault(kinesistest.Fault{Effect: kinesistest.Fail(code, "old")})
				settle(time.Hour)
				tr.s.ClearFaults()
				tr.send(20)
				settle(time.Minute)
				_ = stop()
				tr.wantAll(0, 20)
				if n := len(tr.warning); n < 20 || n > 50 {
					t.Errorf("unexpected number of warnings; got %d; want one for ten attempts", n)
				}
			})
		})
	}
}

func TestCredentialsThatNeverWorkedEndFollowing(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		tr.s.Fault(kinesistest.Fault{Effect: kinesistest.Fail("UnrecognizedClientException", "no such key")})
		c := tr.config()
		c.UntilNow = false
		if err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "UnrecognizedClientException") {
			t.Errorf("unexpected result; got %v; want the error", err)
		}
	})
}

func TestLongOutageIsWaitedForWithoutAnEnd(t *testing.T) {
	bubble(t, 2, func(t *testing.T, tr *trial) {
		stop := tr.follow(tr.config())
		settle(5 * time.Second)
		for _, op := range []string{"GetRecords", "ListShards", "GetShardIterator"} {
			tr.s.Fault(kinesistest.Fault{Operation: op, Times: 100, Effect: kinesistest.Status(503)})
		}
		tr.send(20)
		must(t, tr.s.SplitEven(stream, "shardId-000000000000"))
		tr.send(20)
		settle(time.Hour)
		_ = stop()
		tr.wantAll(0, 40)
		if n := len(tr.warning); n < 20 || n > 40 {
			t.Errorf("unexpected number of warnings; got %d; want one for ten attempts", n)
		}
	})
	bubble(t, 2, func(t *testing.T, tr *trial) {
		tr.s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Status(503)})
		c := tr.config()
		c.UntilNow, c.Retries = false, 3
		if err := Run(t.Context(), c); err == nil || tr.s.Calls("ListShards") != 4 {
			t.Errorf("unexpected end of a start without service; got %v after %d calls; want an error after 4", err, tr.s.Calls("ListShards"))
		}
	})
}

func TestCallsOfAShardKeepTheirDistance(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		tr.send(25)
		var last time.Time
		calls := 0
		tr.s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
			if c.Operation != "GetRecords" {
				return nil
			}
			if now := time.Now(); now.Sub(last) < 200*time.Millisecond {
				t.Errorf("unexpected call %d after %v; want 200ms at least", calls, now.Sub(last))
			} else {
				last = now
			}
			calls++
			return nil
		})
		c := tr.config()
		c.API = onePerPage{tr.s.Client()}
		run1(t, c)
		tr.wantAll(0, 25)
		if calls != 26 {
			t.Errorf("unexpected number of calls; got %d; want 26", calls)
		}
	})
}

// onePerPage makes pages of one record.
type onePerPage struct{ API }

func (o onePerPage) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	one := *in
	one.Limit = aws.Int32(1)
	return o.API.GetRecords(ctx, &one, opts...)
}

func TestBytesPerSecondSlowReadingDown(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		tr.send(1000) // 2890 bytes
		c := tr.config()
		c.BytesPerSecond = 289
		began := time.Now()
		run1(t, c)
		if d := time.Since(began); d < 9*time.Second || d > 12*time.Second {
			t.Errorf("unexpected time; got %v; want about 10s", d)
		}
	})
}

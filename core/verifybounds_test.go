// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// AUTO streams are left alone, which the log says once.
func TestAutoStreamsAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStreamConfig(stream, kinesistest.StreamConfig{Shards: 4, OnDemand: true, Distribution: types.RecordDistributionStrategyAuto}))
		p := newVerified(t, s)
		for range 3 {
			strike(s, 1, kinesistest.LoseReply())
			wait(t, put(t, p.Producer, batchOf("r", 20)))
		}
		closeProducer(t, p.Producer)
		if st := checkAccounts(t, p.Producer); st.VerifyOpened != 0 || st.Uncertain == 0 || s.Calls("GetRecords") != 0 {
			t.Errorf("unexpected counts %+v, reads %d; want none looked for", st, s.Calls("GetRecords"))
		}
		if n := strings.Count(p.logged(), "cannot be looked for"); n != 1 {
			t.Errorf("unexpected number of log lines; got %d; want 1:\n%s", n, p.logged())
		}
	})
}

// A stream that becomes AUTO while records are looked for gets them again, unwrapped.
func TestRecordsAreGivenUpWhenTheirStreamBecomesAuto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStreamConfig(stream, kinesistest.StreamConfig{Shards: 4, OnDemand: true}))
		p := newVerified(t, s, core.WithDescribeInterval(10*time.Second), core.WithVerifyLimits(time.Minute, 2, 1<<20))
		wait(t, put(t, p.Producer, batchOf("before", 20)))
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("ProvisionedThroughputExceededException", "")})
		time.Sleep(9 * time.Second)
		strike(s, 1, kinesistest.LoseReply())
		b := put(t, p.Producer, batchOf("r", 20))
		if err := s.SetDistribution(stream, types.RecordDistributionStrategyAuto); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		wait(t, b)
		if took := time.Since(began); took > 30*time.Second || b.Err() != nil {
			t.Errorf("unexpected outcome %v after %v; want the records given up when the stream is AUTO", b.Err(), took)
		}
		closeProducer(t, p.Producer)
		checkVerified(t, p.Producer, 20, 0, 0, 20)
	})
}

// TTL, Abort and Close end a search as they end everything else.
func TestASearchKeepsWhatTTLAbortAndCloseHavePromised(t *testing.T) {
	for _, how := range []string{"ttl", "abort", "close", "flush"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Hang()})
				opts := []core.Option{}
				if how == "ttl" {
					opts = append(opts, core.WithRecordTTL(3*time.Second))
				}
				p := newVerified(t, s, opts...)
				strike(s, 1, kinesistest.LoseReply())
				began := time.Now()
				b := put(t, p.Producer, batchOf("r", 20))
				synctest.Wait()
				ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
				defer cancel()
				reason := core.ReasonExpired
				switch how {
				case "abort":
					time.Sleep(time.Second)
					reason = core.ReasonAborted
					if err := p.Abort(ctx); err != nil {
						t.Error(err)
					}
				case "close":
					reason = core.ReasonClosed
					if err := p.Close(ctx); err == nil {
						t.Error("unexpected end of Close without an error")
					}
				case "flush":
					if err := p.Flush(context.Background()); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
						t.Errorf("unexpected time of a flush; got %v; want the 10s of the search", took)
					}
					closeProducer(t, p.Producer)
					checkVerified(t, p.Producer, 20, 0, 0, 20)
					return
				}
				wait(t, b)
				took := time.Since(began)
				st := checkAccounts(t, p.Producer)
				if st.Failed[reason] != 20 || took > 4100*time.Millisecond || how == "ttl" && took > 3200*time.Millisecond {
					t.Errorf("unexpected outcome after %v: %+v", took, st)
				}
				if how != "close" && st.Uncertain != 20 {
					t.Errorf("unexpected number of uncertain records; got %d; want 20", st.Uncertain)
				}
			})
		})
	}
}

// Of more than the bound, records are sent again at once.
func TestRecordsBeyondTheMemoryAreSentAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 8))
		p := newVerified(t, s, core.WithVerifyLimits(10*time.Second, 2, 64<<10))
		records := make([]core.Record, 8)
		for i, sh := range s.OpenShards(stream) {
			records[i] = core.Record{PartitionKey: fmt.Sprint(i), ExplicitHashKey: sh.StartingHashKey, Data: make([]byte, 30_000)}
			records[i].Data[0] = byte(i)
		}
		strike(s, 1, kinesistest.LoseReply())
		b := put(t, p.Producer, records)
		wait(t, b)
		closeProducer(t, p.Producer)
		st := checkAccounts(t, p.Producer)
		if b.Err() != nil || st.VerifyOpened != 2 || st.VerifyStored != 2 || st.Uncertain != 6 {
			t.Errorf("unexpected outcome %v with counts %+v; want 2 looked for and 6 uncertain", b.Err(), st)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// unanswered loses the replies to some calls, and remembers the events that they carried.
type unanswered struct {
	mu     sync.Mutex
	left   int
	rng    *rand.Rand
	events int
	err    error
}

func (u *unanswered) decide(c *kinesistest.Call) *kinesistest.Effect {
	in, ok := c.Input.(*kinesis.PutRecordsInput)
	if !ok {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.left == 0 || u.rng.Float64() > 0.2 {
		return nil
	}
	u.left--
	d := combined.Decoder{Compression: combined.Zstd, Form: combined.Lines}
	for _, entry := range in.Records {
		users, _ := aggregation.Deaggregate(*entry.PartitionKey, "", entry.Data)
		for _, user := range users {
			rec, err := d.Decode(user.Data)
			if err != nil {
				u.err = err
			}
			u.events += len(rec.Events)
		}
	}
	e := kinesistest.LoseReply()
	return &e
}

// A client that sends each body until it gets 200 has each event stored, and twice only
// those of a request that was stored and whose reply was lost.
func TestCombinedEventsAreExactForAClientThatSendsAgain(t *testing.T) {
	for _, key := range []string{"", "k"} {
		for _, lost := range []int{0, 5} {
			t.Run(fmt.Sprintf("key %q/%d lost replies", key, lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, "--route.partition_key="+key, "--route.combine=lines", "--route.compression=zstd", "--route.combine_count=3",
						"--route.ack_timeout=2s", "--producer.aggregation_max_size=2000", "--producer.collection_max_count=4")
					defer r.stop()
					u := &unanswered{left: lost, rng: rand.New(rand.NewPCG(3, 18))}
					faults := func() {
						r.kinesis.Intercept(u.decide)
						for i, code := range []string{"ProvisionedThroughputExceededException", "InternalFailure"} {
							r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.5, Seed: uint64(i), Effect: kinesistest.Effect{EntryCode: code, EntryShare: 0.04}})
						}
					}
					faults()
					const bodies, each = 20, 500
					again := 0
					for b := range bodies {
						var body strings.Builder
						for i := range each {
							fmt.Fprintf(&body, `{"n":%d,"k":"key %d"}`+"\n", b*each+i, i%50)
						}
						var down *kinesistest.FaultHandle
						if b%4 == 1 { // some calls pass, the others are refused for longer than the client waits
							r.kinesis.ClearFaults() // the first fault strikes
							down = r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Skip: 1, Effect: kinesistest.Status(500)})
							faults()
						}
						for tries := 0; ; tries++ {
							status := r.from(t.Context(), fmt.Sprintf("10.0.0.%d:1000", b), []byte(body.String()))
							if status == 200 {
								break
							}
							if status != 503 || tries > 50 {
								t.Fatalf("unexpected answer to body %d; got %d; want 200 or 503", b, status)
							}
							again++
							if down != nil {
								down.Remove()
							}
							wait(t.Context(), 5*time.Second)
						}
						if down != nil {
							down.Remove()
						}
					}
					got, _ := r.decoded(combined.Zstd, combined.Lines)
					seen, total := map[int]int{}, 0
					for _, events := range got {
						for _, e := range events {
							var v struct{ N int }
							if err := json.Unmarshal([]byte(e), &v); err != nil {
								t.Fatal(err)
							}
							seen[v.N]++
							total++
						}
					}
					u.mu.Lock()
					defer u.mu.Unlock()
					if u.err != nil || u.left != 0 {
						t.Fatalf("unexpected run; %d replies were not lost: %v", u.left, u.err)
					}
					if again < bodies/4 {
						t.Errorf("unexpected run; got %d bodies sent again; want at least %d", again, bodies/4)
					}
					if doubled := total - len(seen); len(seen) != bodies*each || doubled > u.events {
						t.Errorf("unexpected events; got %d of %d, %d doubled; want all, and at most the %d of lost replies doubled", len(seen), bodies*each, doubled, u.events)
					}
					t.Logf("%d bodies sent again, %d events in lost replies, %d doubled", again, u.events, total-len(seen))
				})
			})
		}
	}
}

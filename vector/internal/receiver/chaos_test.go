// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// randomEffect is what happens to a call of PutRecords. What cannot be known to have
// been stored is rare, so that it does not hide other duplicates.
func randomEffect(rnd *rand.Rand) *kinesistest.Effect {
	switch n := rnd.IntN(100); {
	case n < 25:
		return &kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.1 + 0.9*rnd.Float64()}
	case n < 35:
		return &kinesistest.Effect{Delay: time.Duration(rnd.IntN(5000)) * time.Millisecond}
	case n < 38:
		return &kinesistest.Effect{ErrorCode: "AccessDeniedException"}
	case n < 41:
		return &kinesistest.Effect{ErrorCode: "LimitExceededException"}
	case n < 42:
		return &kinesistest.Effect{LoseReply: true}
	case n < 43:
		return &kinesistest.Effect{HangReply: true}
	}
	return nil
}

// Everything at once: shippers of all kinds with timeouts of all lengths, a Kinesis
// that throttles, fails, hangs and reshards. No event is lost, no more are doubled than
// the producer counts as uncertain. KPL_HTTP_TEST_CHAOS is the number of runs.
func TestChaos(t *testing.T) {
	runs, err := strconv.Atoi(os.Getenv("KPL_HTTP_TEST_CHAOS"))
	if err != nil {
		runs = 10
	}
	for range runs {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	const clients, bodies, most = 8, 12, 40
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, "--limits.memory=9MiB", "--limits.wire_max_size=1MiB", "--limits.body_max_size=1MiB", "--limits.events=20000",
		"--route.ack_timeout="+strconv.Itoa(1+rnd.IntN(9))+"s", "--producer.fail_if_throttled="+strconv.FormatBool(rnd.IntN(2) == 0))
	var mu sync.Mutex // guards rnd in the interceptor
	h := r.kinesis.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
		if c.Operation != "PutRecords" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		return randomEffect(rnd)
	})
	kinds := shippers()
	var wg sync.WaitGroup
	total := 0
	for c := range clients {
		own := rand.New(rand.NewPCG(seed, uint64(100+c)))
		sh := kinds[own.IntN(len(kinds))]
		sh.timeout = time.Duration(500+own.IntN(15000)) * time.Millisecond
		// Whatever the program's own limits are, here is a client that does not give up,
		// and does not take hours.
		sh.wait = func(int) time.Duration { return time.Duration(1+own.IntN(5000)) * time.Millisecond }
		first := total
		sizes := make([]int, bodies)
		for i := range sizes {
			sizes[i] = 1 + own.IntN(most)
			total += sizes[i]
		}
		wg.Go(func() {
			lo := first
			for _, n := range sizes {
				if out := sh.send(t.Context(), r, lo, lo+n); out.delivered != n {
					t.Errorf("%s: unexpected end; got %+v; want %d delivered", sh.name, out, n)
				}
				lo += n
			}
		})
	}
	timer := time.AfterFunc(10*time.Second, func() {
		if err := r.kinesis.UpdateShardCount("logs", 6); err != nil {
			t.Errorf("cannot reshard: %v", err)
		}
	})
	wg.Wait()
	timer.Stop()
	h.Remove()
	wait(t.Context(), time.Minute)
	r.account("logs", total, int(r.producer.Stats().Uncertain))
	if st := r.server.Stats(); st.BudgetUsed != 0 || st.InFlight != 0 {
		t.Errorf("unexpected rest; got %d bytes, %d requests; want none", st.BudgetUsed, st.InFlight)
	}
	r.stop()
}

// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// The program is killed at random moments, while clients send bodies with an Idempotency-Key
// until each is answered. With a journal and read-back nothing is lost, and nothing doubled.
func TestKillsDoubleNothingWithJournalAndReadBack(t *testing.T) {
	const bodies, each, clients = 600, 20, 6
	kills := 20
	if testing.Short() {
		kills = 5
	}
	k := fake(t, 4)
	k.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.3, Seed: 4, Effect: kinesistest.Delay(300 * time.Millisecond)})
	k.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 50 * time.Millisecond}})
	flags := []string{"--journal.dir=" + t.TempDir(), "--producer.verify_uncertain=true", "--route.partition_key=n", "--producer.aggregation_max_count=10"}
	var mu sync.RWMutex // for reading: a client sends to the process
	p := start(t, k, flags...)
	address := func() string { mu.RLock(); defer mu.RUnlock(); return p.address }
	bodiesOf := make(chan int)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second}
			for b := range bodiesOf {
				var text strings.Builder
				for n := b * each; n < (b+1)*each; n++ {
					fmt.Fprintf(&text, "{\"n\":%d}\n", n)
				}
				for !send(client, "http://"+address()+"/", text.String(), fmt.Sprint("body-", b)) {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range bodies {
			bodiesOf <- b
		}
		close(bodiesOf)
		wg.Wait()
	}()
	rng := rand.New(rand.NewPCG(5, 6))
	killed := 0
	uncertain := 0
	for ; killed < kills; killed++ {
		select {
		case <-time.After(time.Duration(100+rng.IntN(900)) * time.Millisecond):
		case <-done:
			t.Fatalf("everything was delivered after %d kills", killed)
		}
		mu.Lock()
		if code := p.signal(syscall.SIGKILL); code != -1 {
			t.Fatalf("unexpected exit code %d", code)
		}
		p = start(t, k, flags...)
		mu.Unlock()
		uncertain += strings.Count(p.text(), "contents of an earlier process are known")
	}
	<-done
	if code := p.signal(os.Interrupt); code != 0 {
		t.Errorf("unexpected exit code %d", code)
	}
	got := numbers(t, k, "logs")
	missing, doubled := bodies*each-len(got), 0
	for _, n := range got {
		doubled += n - 1
	}
	t.Logf("%d kills, %d events in %d bodies: %d lost, %d doubled; the journal was of use after %d kills, %d reads", killed, bodies*each, bodies, missing, doubled, uncertain, k.Calls("GetRecords"))
	if missing != 0 || doubled != 0 {
		t.Errorf("unexpected events; got %d lost, %d doubled; want none", missing, doubled)
	}
	if uncertain == 0 || k.Calls("GetRecords") == 0 {
		t.Error("nothing was under way at a kill; the test has shown nothing")
	}
}

// send posts a body once and tells whether it was answered with 200.
func send(client *http.Client, url, body, name string) bool {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Idempotency-Key", name)
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

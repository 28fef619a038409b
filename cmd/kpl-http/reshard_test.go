// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/emulators/kcltest"
)

// Each event that was answered with 200 is one that the KCL's own class delivers, once,
// whatever happens to the shards while aggregates are under way. RESHARD is the
// number of events, if it is to be another one.
func TestReshardingReadByTheKCL(t *testing.T) {
	events := 10_000
	if v := os.Getenv("RESHARD"); v != "" {
		var err error
		if events, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, sc := range kcltest.Scenarios(time.Second) {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			st := sc.Start(t)
			p := start(t, st.Server, "--route.partition_key=n")
			posted := make(chan error, 1)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				posted <- postAll(p, 16, 25, events)
			}()
			st.Play(t, events, ended)
			if err := <-posted; err != nil {
				t.Fatalf("cannot post: %v; log:\n%s", err, p.text())
			}
			o := st.Outcome(t, events, func(data []byte) int {
				var v struct{ N *int }
				if err := json.Unmarshal(data, &v); err != nil || v.N == nil {
					return -1
				}
				return *v.N
			})
			t.Logf("%v", o)
			o.Check(t, sc)
		})
	}
}

// postAll posts events 0 to events-1 from many clients. As a shipper does, a client posts a
// body again that is answered with 503, and goes on when it is answered with 200.
func postAll(p *process, clients, each, events int) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	errs := make([]error, clients)
	for c := range clients {
		wg.Go(func() {
			for {
				from := int(next.Add(int64(each))) - each
				if from >= events {
					return
				}
				var b strings.Builder
				for i := from; i < min(events, from+each); i++ {
					fmt.Fprintf(&b, "{\"n\":%d,\"text\":\"request done\"}\n", i)
				}
				for status := 0; status != http.StatusOK; {
					res, err := client.Post("http://"+p.address+"/", "application/x-ndjson", strings.NewReader(b.String()))
					if err != nil {
						errs[c] = err
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					if status = res.StatusCode; status != http.StatusOK && status != http.StatusServiceUnavailable {
						errs[c] = fmt.Errorf("unexpected answer %s", res.Status)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

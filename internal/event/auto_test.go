// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// autoVariable is the number of events, by default a tenth of 200,000.
const autoVariable = "EVENT_AUTO"

// On a stream that Kinesis distributes nothing is aggregated, so a record of many events is
// all that saves records. Events of 240 bytes are 48 MB in 200,000.
func TestOnAnAutoStreamManyEventsAreFewKinesisRecords(t *testing.T) {
	n := 20_000
	if v := os.Getenv(autoVariable); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	var chunks [][]byte
	var chunk []byte
	for i := range n {
		chunk = append(chunk, v2(1795505462, uint32(i), fixmap(str("seq"), str(strconv.Itoa(i)),
			str("log"), str(fmt.Sprintf("10.244.0.%d - - [24/Nov/2026:07:31:02 +0000] \"GET /api/v1/orders/%d HTTP/1.1\" 200 5316 trace=%016x", i%256, i*7919%1_000_003, i*2654435761)),
			str("kubernetes"), fixmap(str("pod_name"), str("orders-6f9c8d7b54-x"+strconv.Itoa(i%50)), str("namespace_name"), str("shop"), str("host"), str("ip-10-0-17-23.internal"))))...)
		if len(chunk) > benchChunkBytes || i == n-1 {
			chunks, chunk = append(chunks, chunk), nil
		}
	}
	for _, form := range formNames[1:] {
		for _, compression := range []string{"none", "zstd", "gzip"} {
			synctest.Test(t, func(t *testing.T) {
				srv := kinesistest.New()
				if err := srv.CreateStream("logs", kinesistest.StreamConfig{Shards: 4, OnDemand: true, Distribution: types.RecordDistributionStrategyAuto}); err != nil {
					t.Fatal(err)
				}
				p, err := core.New(srv.Client())
				if err != nil {
					t.Fatal(err)
				}
				s := mustShaper(t, Config{Combine: form, Compression: compression})
				for _, chunk := range chunks {
					var b Builder
					b.Follow(s, &Plan{OwnRecords: func(string) bool { return p.Auto("logs") }})
					addChunk(t, &b, s, chunk)
					batch, err := p.PutBatch(t.Context(), "logs", b.Records())
					if err == nil {
						err = batch.Wait(t.Context())
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := p.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				stored := srv.Records("logs")
				seen := make([]bool, n)
				d, events, bytes := combined.Decoder{Form: form}, 0, 0
				for _, r := range stored {
					if size := len(r.Data) + len(r.PartitionKey); size > 1<<20 {
						t.Errorf("unexpected size of a Kinesis record of %s with %s; got %d bytes; want at most 1 MiB", form, compression, size)
					}
					bytes += len(r.Data)
					rec, err := d.Decode(r.Data)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range rec.Events {
						var v struct{ Seq, Log string }
						i, err := 0, json.Unmarshal(e, &v)
						if err == nil {
							i, err = strconv.Atoi(v.Seq)
						}
						if err != nil || i >= n || seen[i] || !strings.HasSuffix(v.Log, fmt.Sprintf("trace=%016x", i*2654435761)) {
							t.Fatalf("unexpected event of %s with %s; got %.200q and %v; want each once, as it was", form, compression, e, err)
						}
						seen[i] = true
						events++
					}
				}
				if most := n / 1000; events != n || len(stored) > most {
					t.Errorf("unexpected records of %s with %s; got %d events in %d Kinesis records; want %d in at most %d", form, compression, events, len(stored), n, most)
				}
				t.Logf("%s, %s: %d events in %d Kinesis records, %d bytes", form, compression, events, len(stored), bytes)
			})
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package emulators

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// KCLCall is a call of GetRecords that the KCL has made.
type KCLCall struct {
	// At is when its answer was known here.
	At      time.Time `json:"-"`
	ShardID string    `json:"shard"`
	// Records and Bytes are what it returned, Behind its MillisBehindLatest.
	Records int   `json:"records"`
	Bytes   int64 `json:"bytes"`
	Behind  int64 `json:"behind"`
	// Throttled means that the limits of the shard refused it.
	Throttled bool `json:"throttled"`
}

// ReadKCL has the KCL's own classes (software.amazon.kinesis.retrieval.polling of
// amazon-kinesis-client 3.5.1) read shards from their start until ctx ends, as a consumer
// without enhanced fan-out does, and hands each call to use. The pause between two reads of
// a shard is the KCL's own if it is 0. There are no leases: all shards are read.
func ReadKCL(ctx context.Context, endpoint, stream string, shards []string, pause time.Duration, use func(KCLCall)) error {
	_, target, err := findJVM()
	if err != nil {
		return fmt.Errorf("cannot run ReadKCL: %w", err)
	}
	if _, err := os.Stat(filepath.Join(target, "classes", "outkpl", "ReadKCL.class")); err != nil {
		return fmt.Errorf("%w: what make jvm has made is old; run make jvm again", ErrUnavailable)
	}
	args := append([]string{endpoint, stream, fmt.Sprint(pause.Milliseconds())}, shards...)
	records := 0
	// The program ends with its input, or by itself if something is wrong.
	ended, end := context.WithCancel(ctx)
	defer end()
	err = runJVM(context.WithoutCancel(ctx), jvmCall{class: "ReadKCL", args: args}, func(*json.Encoder) error {
		<-ended.Done()
		return nil
	}, func(dec *json.Decoder) error {
		defer end()
		return eachLine(dec, func(c *KCLCall) {
			c.At = time.Now()
			records += c.Records
			use(*c)
		})
	})
	count("KCL", records, records)
	return err
}

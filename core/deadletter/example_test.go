// SPDX-License-Identifier: Apache-2.0

package deadletter_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// One of two records is too large. It is kept in a file, so that the batch can be
// acknowledged.
func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 confirmed, 1 failed
	// safely kept: [1]
	// too_large from my.tag: 1048577 bytes
}

func example() error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "dead.ndjson")
	file, err := deadletter.OpenFile(deadletter.FileConfig{Path: path})
	if err != nil {
		return err
	}

	producer, err := core.New(kinesistest.New(kinesistest.WithStream("logs", 1)).Client())
	if err != nil {
		return err
	}
	records := []core.Record{
		{PartitionKey: "a", Data: []byte("small")},
		{PartitionKey: "b", Data: make([]byte, 1<<20+1)},
	}
	batch, err := producer.PutBatch(ctx, "logs", records)
	if err != nil {
		return err
	}
	if err := batch.WaitSettled(ctx); err != nil {
		return err
	}
	confirmed, failed, _ := batch.Counts()
	fmt.Printf("%d confirmed, %d failed\n", confirmed, failed)
	kept, err := deadletter.Settle(ctx, batch, records, "my.tag", file)
	if err != nil {
		return err
	}
	fmt.Println("safely kept:", kept)
	if err := producer.Close(ctx); err != nil {
		return err
	}
	if err := file.Close(ctx); err != nil {
		return err
	}

	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for l, err := range deadletter.Read(f) {
		if err != nil {
			return err
		}
		fmt.Printf("%s from %s: %d bytes\n", l.Reason, l.Source, len(l.Data))
	}
	return nil
}

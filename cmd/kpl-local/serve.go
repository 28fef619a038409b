// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/filelock"
	"github.com/outkpl/outkpl/internal/plural"
)

// journalFile is the file in the folder of --data.
const journalFile = "kinesis.jsonl"

// serve serves until ctx ends.
func serve(ctx context.Context, o *options, stdout io.Writer) (err error) {
	opts := []kinesistest.Option{kinesistest.WithRegion(o.region)}
	if !o.unlimited {
		opts = append(opts, kinesistest.WithLimits(kinesistest.AWSLimits))
	}
	var file *os.File
	if o.data != "" {
		if file, err = openJournal(o.data); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		opts = append(opts, kinesistest.WithJournal(file))
	}
	s := kinesistest.New(opts...)
	if file != nil {
		if err := restore(s, file); err != nil {
			return err
		}
	}
	for _, st := range o.streams {
		if len(s.Shards(st.name)) > 0 {
			continue
		}
		if err := s.CreateStream(st.name, kinesistest.StreamConfig{Shards: st.shards}); err != nil {
			return err
		}
	}
	if err := s.StartAt(o.listen); err != nil {
		return err
	}
	// All lines are written at once: a program that waits for one of them has the others too.
	var said bytes.Buffer
	fmt.Fprintln(&said, "kpl-local: serving at", s.URL())
	list, err := s.Client().ListStreams(ctx, &kinesis.ListStreamsInput{Limit: aws.Int32(10_000)})
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, s.Close())
	}
	for _, name := range streamNames(list) {
		open, records := 0, int64(0)
		for _, sh := range s.Shards(name) {
			records += sh.Records
			if sh.Open {
				open++
			}
		}
		fmt.Fprintf(&said, "kpl-local: stream %s has %s and %s\n", name, plural.Count(open, "open shard"), plural.Count(records, "record"))
	}
	if _, err := said.WriteTo(stdout); err != nil {
		return errors.Join(fmt.Errorf("cannot say where it serves: %w", err), s.Close())
	}
	<-ctx.Done()
	return s.Close()
}

func streamNames(list *kinesis.ListStreamsOutput) []string {
	if list == nil { // told to end at once
		return nil
	}
	return list.StreamNames
}

// openJournal opens the journal for this process alone.
func openJournal(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	path := filepath.Join(dir, journalFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if err := filelock.TryLock(file); err != nil {
		_ = file.Close()
		if errors.Is(err, filelock.ErrLocked) {
			return nil, fmt.Errorf("--data: %q: another kpl-local uses it; allowed: a folder for each", dir)
		}
		return nil, fmt.Errorf("--data: cannot lock %s: %w", path, err)
	}
	return file, nil
}

// restore reads the journal, and leaves the file where the next line begins.
func restore(s *kinesistest.Server, file *os.File) error {
	whole, err := s.Restore(file)
	if err != nil {
		return fmt.Errorf("--data: cannot read %s: %w; it is not changed: mend it, or take another folder", file.Name(), err)
	}
	// The rest is a line that was not whole when a process was killed.
	if err := file.Truncate(whole); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if _, err := file.Seek(whole, io.SeekStart); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	return nil
}

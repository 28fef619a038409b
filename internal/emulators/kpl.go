// SPDX-License-Identifier: Apache-2.0

package emulators

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Record is a Kinesis record.
type Record struct {
	PartitionKey    string `json:"partitionKey"`
	ExplicitHashKey string `json:"explicitHashKey,omitempty"`
	SequenceNumber  string `json:"sequenceNumber,omitempty"`
	Data            []byte `json:"data"`
}

// UserRecord is a user record as aws-kinesis-agg sees it.
type UserRecord struct {
	PartitionKey string `json:"partitionKey"`
	// ExplicitHashKey is empty if there is none. In an aggregate in which some
	// records have one, aws-kinesis-agg 4.2.8 reports the first of them for
	// every record that has none.
	ExplicitHashKey string `json:"explicitPartitionKey,omitempty"`
	// SequenceNumber is that of the Kinesis record.
	SequenceNumber string `json:"sequenceNumber"`
	// SubSequenceNumber counts within an aggregate, from 0. It is nil for a record
	// that is not an aggregate.
	SubSequenceNumber *int   `json:"subSequenceNumber"`
	Data              []byte `json:"data"`
}

// Deaggregate takes Kinesis records apart with aws-kinesis-agg, checksums
// verified. If it refuses some, the error names their sequence numbers, and the
// user records of the others are returned with it. Keys must be valid UTF-8.
func Deaggregate(ctx context.Context, records []Record) ([]UserRecord, error) {
	return script[Record, UserRecord](ctx, "deaggregate.js", records)
}

// Aggregate packs each batch of user records into one Kinesis record with
// aws-kinesis-agg. Only the keys and the data of the batches are used. Version
// 4.2.8 mixes up partition keys that are small numbers in canonical form, such as
// "10" and "9", and cannot take empty keys.
func Aggregate(ctx context.Context, batches [][]Record) ([]Record, error) {
	out, err := script[[]Record, Record](ctx, "aggregate.js", batches)
	if err == nil && len(out) != len(batches) {
		err = fmt.Errorf("cannot aggregate: got %d records for %d batches", len(out), len(batches))
	}
	return out, err
}

// script sends one JSON value a line through a script of this folder.
func script[In, Out any](ctx context.Context, name string, in []In) ([]Out, error) {
	node, dir, err := find()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", name, err)
	}
	var stdin, stdout, stderr bytes.Buffer
	enc := json.NewEncoder(&stdin)
	for i := range in {
		if err := enc.Encode(in[i]); err != nil {
			return nil, fmt.Errorf("cannot encode input of %s: %w", name, err)
		}
	}
	cmd := exec.CommandContext(ctx, node, name)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, &stdin, &stdout, &stderr
	runErr := cmd.Run()
	if runErr != nil {
		runErr = fmt.Errorf("cannot run %s: %w: %s", name, runErr, strings.TrimSpace(stderr.String()))
	}
	var out []Out
	dec := json.NewDecoder(&stdout)
	for {
		var v Out
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out, runErr
		}
		if err != nil {
			return out, errors.Join(runErr, fmt.Errorf("cannot decode output of %s: %w", name, err))
		}
		out = append(out, v)
	}
}

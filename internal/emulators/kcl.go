// SPDX-License-Identifier: Apache-2.0

package emulators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// KCLShard is a shard for the KCL to read.
type KCLShard struct {
	ID string
	// StartingHashKey and EndingHashKey are decimal numbers, both inclusive. If both
	// are empty the KCL is told no range, as when it knows none.
	StartingHashKey, EndingHashKey string
	// Records are what the shard stores. Their explicit hash keys are not used:
	// GetRecords does not return them.
	Records []Record
}

// KCLUserRecord is a user record as the KCL hands it to its user.
type KCLUserRecord struct {
	ShardID        string `json:"shard"`
	PartitionKey   string `json:"partitionKey"`
	SequenceNumber string `json:"sequenceNumber"`
	// ExplicitHashKey is what the aggregate says, and empty for a plain record.
	ExplicitHashKey string `json:"explicitHashKey"`
	// SubSequenceNumber counts within an aggregate, from 0.
	SubSequenceNumber int64 `json:"subSequenceNumber"`
	// Aggregated is false for a plain Kinesis record.
	Aggregated bool   `json:"aggregated"`
	Data       []byte `json:"data"`
}

// KCLThrownError says that the KCL's class threw something when it was given what
// one GetRecords call can return: up to 10,000 records or 10 MiB of a shard. It
// delivers none of that then.
type KCLThrownError struct {
	ShardID string `json:"shard"`
	// SequenceNumber is that of the first Kinesis record of those it was given.
	SequenceNumber string `json:"sequenceNumber"`
	// Thrown is the name of the Java class, and its message.
	Thrown string `json:"thrown"`
}

// Error implements error.
func (e *KCLThrownError) Error() string {
	return fmt.Sprintf("the KCL threw %s at shard %s, from record %s on", e.Thrown, e.ShardID, e.SequenceNumber)
}

// DeaggregateKCL has the KCL's own class take the Kinesis records of shards apart
// (software.amazon.kinesis.retrieval.AggregatorUtil of amazon-kinesis-client 3.5.1)
// and returns the user records that it delivers, shards as given, records in
// order. Each [KCLThrownError] is in the chain of the error, and what came before and
// after it is returned all the same. Partition keys of records must be valid UTF-8; what
// is in an aggregate need not be. A call takes 0.3 s, and up to 4 s for each 100 MB.
func DeaggregateKCL(ctx context.Context, shards []KCLShard) ([]KCLUserRecord, error) {
	return deaggregateKCL(ctx, shards, false)
}

// DeaggregateKCLWithJAXB is DeaggregateKCL where the class javax.xml.bind.DatatypeConverter
// exists. Java had it up to version 10. The KCL needs it to log that it cannot
// read a user record, and does not bring it along; without it an Error takes the
// place of the log line.
func DeaggregateKCLWithJAXB(ctx context.Context, shards []KCLShard) ([]KCLUserRecord, error) {
	return deaggregateKCL(ctx, shards, true)
}

func deaggregateKCL(ctx context.Context, shards []KCLShard, jaxb bool) ([]KCLUserRecord, error) {
	var users []KCLUserRecord
	var thrown []error
	err := runJVM(ctx, jvmCall{class: "DeaggregateKCL", jaxb: jaxb}, func(enc *json.Encoder) error {
		for _, s := range shards {
			head := map[string]string{"shard": s.ID}
			if s.StartingHashKey != "" || s.EndingHashKey != "" {
				head["startingHashKey"], head["endingHashKey"] = s.StartingHashKey, s.EndingHashKey
			}
			if err := enc.Encode(head); err != nil {
				return err
			}
			for i := range s.Records {
				if err := enc.Encode(&s.Records[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}, func(dec *json.Decoder) error {
		return eachLine(dec, func(line *struct {
			KCLUserRecord
			Thrown string `json:"thrown"`
		},
		) {
			if line.Thrown != "" {
				thrown = append(thrown, &KCLThrownError{ShardID: line.ShardID, SequenceNumber: line.SequenceNumber, Thrown: line.Thrown})
				return
			}
			users = append(users, line.KCLUserRecord)
		})
	})
	stored := 0
	for _, s := range shards {
		stored += len(s.Records)
	}
	count("KCL", stored, len(users))
	return users, errors.Join(append(thrown, err)...)
}

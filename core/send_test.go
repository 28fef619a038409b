// SPDX-License-Identifier: Apache-2.0

package core

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
)

// What a request kept of the one before would end up in another stream's call.
func TestRequestThatIsUsedAgainKnowsNothingOfTheOneBefore(t *testing.T) {
	r := &request{
		records: []*kinesisRecord{{}}, bytes: 7, blob: []byte("x"), decimal: []byte("1"), keys: []string{"k"},
		entries: make([]types.PutRecordsRequestEntry, 1), unsealed: [][]byte{{1}}, gen: 3, omitKeys: true, omittedKey: true,
	}
	r.releaseRequest()
	for i, v := 0, reflect.ValueOf(*r); i < v.NumField(); i++ {
		switch f := v.Field(i); {
		case f.Kind() == reflect.Slice:
			if f.Len() != 0 {
				t.Errorf("unexpected length of %s; got %d; want 0", v.Type().Field(i).Name, f.Len())
			}
		case f.Type() == reflect.TypeFor[aggregation.Builder]():
			if r.builder.Len() != 0 {
				t.Errorf("unexpected user records in the builder; got %d; want 0", r.builder.Len())
			}
		case !f.IsZero():
			t.Errorf("unexpected rest in %s: %v", v.Type().Field(i).Name, f)
		}
	}
}

func TestEncoderKeepsNoTablesOfHugeAggregates(t *testing.T) {
	for _, c := range []struct {
		records int
		kept    bool
	}{{2, true}, {maxKeptItems, true}, {maxKeptItems + 1, false}} {
		records := make([]Record, c.records)
		for i := range records {
			records[i].PartitionKey = "k"
		}
		b := &Batch{records: records, items: make([]item, len(records))}
		kr := &kinesisRecord{}
		for i := range b.items {
			b.items[i] = item{batch: b, index: int32(i), keyBytes: 1}
			kr.items = append(kr.items, &b.items[i])
		}
		kr.wrapped = true
		var spare aggregation.Builder
		data, _, key := kr.appendData(nil, &spare)
		if kr.size != len(data)+len(key) {
			t.Errorf("unexpected size of an aggregate of %d; got %d; want %d", c.records, kr.size, len(data)+len(key))
		}
		if spare.Len() != 0 || kr.counted() != 0 {
			t.Errorf("unexpected user records left in the builders after %d; got %d, %d; want none", c.records, spare.Len(), kr.counted())
		}
		if kept := !reflect.ValueOf(spare).IsZero(); kept != c.kept {
			t.Errorf("unexpected memory after %d user records; got kept %v; want %v", c.records, kept, c.kept)
		}
	}
}

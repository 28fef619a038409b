// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// Strict ordering must not have two queues for a key, nor none.
func TestPartitionHasNoGapsAndOverlaps(t *testing.T) {
	hashes := func(ends ...string) (list []types.Shard) {
		for i := 0; i < len(ends); i += 2 {
			list = append(list, types.Shard{HashKeyRange: &types.HashKeyRange{StartingHashKey: aws.String(ends[i]), EndingHashKey: aws.String(ends[i+1])}})
		}
		return list
	}
	const most = "340282366920938463463374607431768211455"
	backwards := equalShards(0, 5, "")
	slices.Reverse(backwards)
	for _, c := range []struct {
		name string
		list []types.Shard
		want bool
	}{
		{"one", hashes("0", most), true},
		{"five", equalShards(0, 5, ""), true},
		{"in another order", backwards, true},
		{"none", nil, false},
		{"gap at the start", hashes("1", most), false},
		{"gap at the end", hashes("0", "340282366920938463463374607431768211454"), false},
		{"gap", hashes("0", "9", "11", most), false},
		{"overlap", hashes("0", "9", "9", most), false},
		{"the whole twice", hashes("0", most, "0", most), false},
		{"a range that ends before it begins", hashes("0", "9", "10", "5", "6", most), false},
		{"no range", append(hashes("0", most), types.Shard{}), false},
		{"no number", hashes("0", "x"), false},
	} {
		if got := partition(c.list); got != c.want {
			t.Errorf("%s: unexpected partition %v; want %v", c.name, got, c.want)
		}
	}
}

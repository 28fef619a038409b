// SPDX-License-Identifier: Apache-2.0

package plural

import (
	"math"
	"testing"
)

func TestCountsFitTheirNouns(t *testing.T) {
	for _, test := range []struct {
		got, want string
	}{
		{Count(0, "shard"), "0 shards"},
		{Count(1, "shard"), "1 shard"},
		{Count(2, "shard"), "2 shards"},
		{Count(-1, "shard"), "-1 shards"},
		{Count(uint64(math.MaxUint64), "event"), "18446744073709551615 events"},
		{Count(int64(math.MinInt64), "event"), "-9223372036854775808 events"},
		{Count(2, "body"), "2 bodies"},
		{Count(2, "key"), "2 keys"},
		{Count(2, "dead letter"), "2 dead letters"},
		{Count(2, "batch"), "2 batches"},
		{Count(2, "access"), "2 accesses"},
		{Grouped(1, "body"), "1 body"},
		{Grouped(999, "shard"), "999 shards"},
		{Grouped(1000, "shard"), "1,000 shards"},
		{Grouped(12345678, "user record"), "12,345,678 user records"},
		{Grouped(-123, "shard"), "-123 shards"},
		{Verb(1, "was", "were"), "was"},
		{Verb(0, "was", "were"), "were"},
	} {
		if test.got != test.want {
			t.Errorf("unexpected text; got %q; want %q", test.got, test.want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"math"
	"testing"
)

func TestRecordsAreRoundedUp(t *testing.T) {
	for _, c := range []struct {
		size          int
		units, billed int64
	}{{0, 1, 1024}, {1, 1, 1024}, {1024, 1, 1024}, {1025, 1, 2048}, {25600, 1, 25600}, {25601, 2, 26624}, {51200, 2, 51200}, {1 << 20, 41, 1 << 20}} {
		if units, billed := Units(c.size), BilledBytes(c.size); units != c.units || billed != c.billed {
			t.Errorf("unexpected count of %d bytes; got %d units, %d bytes; want %d, %d", c.size, units, billed, c.units, c.billed)
		}
	}
}

// A million units cost $0.014, a GiB on demand $0.08; the month adds shards and the stream.
func TestPriceOfAMonth(t *testing.T) {
	var second Writes
	second.Add(1000, 200)
	second = second.Times(2.5)
	if second.Records != 2500 || second.Bytes != 500_000 || second.Shards() != 3 {
		t.Fatalf("unexpected rate; got %+v and %v shards; want 2500 records of 200 bytes and 3 shards", second, second.Shards())
	}
	for name, c := range map[string][2]float64{
		"provisioned":    {second.Provisioned(), 2500*3600*730/1e6*0.014 + 3*0.015*730},
		"on demand":      {second.OnDemand(), 2500.0/(1<<20)*3600*730*0.08 + 0.04*730},
		"units alone":    {ProvisionedUSD(2_000_000), 0.028},
		"gigabyte alone": {OnDemandUSD(3 << 30), 0.24},
	} {
		if math.Abs(c[0]-c[1]) > 1e-6 {
			t.Errorf("unexpected price, %s; got %v; want %v", name, c[0], c[1])
		}
	}
	if many := (Writes{Records: 1, Bytes: 2<<20 + 1}); many.Shards() != 3 {
		t.Errorf("unexpected shards for 2 MiB a second and a byte; got %v; want 3", many.Shards())
	}
}

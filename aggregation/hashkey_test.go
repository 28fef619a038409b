// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"math/big"
	"strings"
	"testing"
)

func TestHashPartitionKey(t *testing.T) {
	for _, tc := range []struct{ name, key, want string }{
		{"one letter", "a", "16955237001963240173058271559858726497"},
		{"three letters", "abc", "191415658344158766168031473277922803570"},
		{"four letters", "abcd", "301716283811389038011477436469853762335"},
		{"with hyphen", "user-123", "250018372642977770877286195909578633128"},
		{"empty", "", "281949768489412648962353822266799178366"},
		{"zero bytes and replacement characters", "BET\x00\x00\x00\x00.E\xef\xbf\xbd\xef\xbf\xbd", "184807870262572495302211851344884645144"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := HashPartitionKey(tc.key).String(); got != tc.want {
				t.Errorf("unexpected hash key; got %s; want %s", got, tc.want)
			}
		})
	}
	if got, want := HashPartitionKey("abcd"), (HashKey{Hi: 0xe2fc714c4727ee93, Lo: 0x95f324cd2e7f331f}); got != want {
		t.Errorf("unexpected hash key; got %x; want %x", got, want)
	}
	// The longest test input of RFC 1321, more than one block of MD5.
	if got, want := HashPartitionKey(strings.Repeat("1234567890", 8)), (HashKey{Hi: 0x57edf4a22be3c955, Lo: 0xac49da2e2107b67a}); got != want {
		t.Errorf("unexpected hash key; got %x; want %x", got, want)
	}
}

func TestParseHashKeyAccepts(t *testing.T) {
	const maxDecimal = "340282366920938463463374607431768211455"
	for _, tc := range []struct {
		name, in, canonical string
		want                HashKey
	}{
		{"zero", "0", "0", HashKey{}},
		{"many zeros", "0000", "0", HashKey{}},
		{"leading zeros are not octal", "007", "7", HashKey{Lo: 7}},
		{"digit that is not octal", "09", "9", HashKey{Lo: 9}},
		{"nine digits", "123456789", "123456789", HashKey{Lo: 123456789}},
		{"largest 64-bit number", "18446744073709551615", "18446744073709551615", HashKey{Lo: 1<<64 - 1}},
		{"2^64", "18446744073709551616", "18446744073709551616", HashKey{Hi: 1}},
		{"10^38", "1" + strings.Repeat("0", 38), "1" + strings.Repeat("0", 38), HashKey{Hi: 0x4b3b4ca85a86c47a, Lo: 0x098a224000000000}},
		{"largest", maxDecimal, maxDecimal, MaxHashKey},
		{"largest after many zeros", strings.Repeat("0", 300) + maxDecimal, maxDecimal, MaxHashKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseHashKey(tc.in)
			if err != nil {
				t.Fatalf("unexpected error: %v", err)
			}
			if got != tc.want {
				t.Errorf("unexpected hash key; got %x; want %x", got, tc.want)
			}
			if got.String() != tc.canonical {
				t.Errorf("unexpected decimal form; got %s; want %s", got, tc.canonical)
			}
		})
	}
}

func TestParseHashKeyRefuses(t *testing.T) {
	for _, tc := range []struct{ name, in, reason string }{
		{"empty", "", "empty"},
		{"blank", " ", "byte 0 is not a digit"},
		{"leading blank", " 7", "byte 0 is not a digit"},
		{"trailing blank", "7 ", "byte 1 is not a digit"},
		{"trailing newline", "7\n", "byte 1 is not a digit"},
		{"plus sign", "+7", "byte 0 is not a digit"},
		{"minus sign", "-7", "byte 0 is not a digit"},
		{"negative zero", "-0", "byte 0 is not a digit"},
		{"underscore", "1_000", "byte 1 is not a digit"},
		{"comma", "1,000", "byte 1 is not a digit"},
		{"fraction", "1.0", "byte 1 is not a digit"},
		{"exponent", "1e3", "byte 1 is not a digit"},
		{"hex prefix", "0x10", "byte 1 is not a digit"},
		{"hex digits", "ff", "byte 0 is not a digit"},
		{"arabic digit", "\u0663", "byte 0 is not a digit"},
		{"full-width digit", "1\uff11", "byte 1 is not a digit"},
		{"zero byte", "1\x00", "byte 1 is not a digit"},
		{"byte after the digits", "1:", "byte 1 is not a digit"},
		{"2^128", "340282366920938463463374607431768211456", "too large"},
		{"2^128 after a zero", "0340282366920938463463374607431768211456", "too large"},
		{"39 nines", strings.Repeat("9", 39), "too large"},
		{"1000 digits", strings.Repeat("7", 1000), "too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseHashKey(tc.in)
			if err == nil {
				t.Fatalf("unexpected success; got %s", got)
			}
			if got != (HashKey{}) {
				t.Errorf("unexpected hash key beside an error; got %s", got)
			}
			if !strings.Contains(err.Error(), tc.reason) || !strings.HasPrefix(err.Error(), "cannot parse explicit hash key") {
				t.Errorf("unexpected error; got %q; want reason %q", err, tc.reason)
			}
		})
	}
}

func TestHashKeyCompare(t *testing.T) {
	ordered := []HashKey{{}, {Lo: 1}, {Lo: 1<<64 - 1}, {Hi: 1}, {Hi: 1, Lo: 5}, {Hi: 2}, MaxHashKey}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("unexpected order of %s and %s; got %d; want %d", a, b, got, want)
			}
		}
	}
}

// Every power of two and of ten, with its neighbours, against math/big.
func TestHashKeyDecimal(t *testing.T) {
	one, limit := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 128)
	var cases []*big.Int
	for _, base := range []int64{2, 10} {
		for v := big.NewInt(1); v.Cmp(limit) <= 0; v = new(big.Int).Mul(v, big.NewInt(base)) {
			cases = append(cases, new(big.Int).Sub(v, one), v, new(big.Int).Add(v, one))
		}
	}
	for _, v := range cases {
		want := v.String()
		k, err := ParseHashKey(want)
		if v.Cmp(limit) >= 0 {
			if err == nil {
				t.Errorf("unexpected success for %s", want)
			}
			continue
		}
		if err != nil {
			t.Errorf("unexpected error for %s: %v", want, err)
			continue
		}
		number := new(big.Int).SetUint64(k.Hi)
		number.Lsh(number, 64).Or(number, new(big.Int).SetUint64(k.Lo))
		if number.Cmp(v) != 0 {
			t.Errorf("unexpected number; got %s; want %s", number, want)
		}
		if got := string(k.AppendDecimal([]byte("x"))); got != "x"+want {
			t.Errorf("unexpected decimal form; got %s; want x%s", got, want)
		}
		if got := k.DecimalLen(); got != len(want) {
			t.Errorf("unexpected decimal length of %s; got %d; want %d", want, got, len(want))
		}
	}
}

func TestUserRecordHashKey(t *testing.T) {
	for _, tc := range []struct {
		name    string
		rec     UserRecord
		want    HashKey
		wantErr bool
	}{
		{"MD5 of the partition key without an explicit hash key", record("abc", "", ""), HashPartitionKey("abc"), false},
		{"explicit hash key wins", record("abc", "42", ""), HashKey{Lo: 42}, false},
		{"explicit hash key zero wins", record("abc", "0", ""), HashKey{}, false},
		{"explicit hash key that is no number", record("abc", "4x", ""), HashKey{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.rec.HashKey()
			if got != tc.want || (err != nil) != tc.wantErr {
				t.Errorf("unexpected result; got %s, %v; want %s, error %v", got, err, tc.want, tc.wantErr)
			}
		})
	}
}

func TestHashKeyFunctionsDoNotAllocate(t *testing.T) {
	long := strings.Repeat("k", 256)
	var buf [39]byte
	allocs := testing.AllocsPerRun(100, func() {
		k := HashPartitionKey(long)
		k.AppendDecimal(buf[:0])
		if k.DecimalLen() > len(buf) {
			t.Error("unexpected decimal length")
		}
		if _, err := ParseHashKey("340282366920938463463374607431768211455"); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("unexpected allocations; got %v; want 0", allocs)
	}
}

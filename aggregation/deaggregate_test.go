// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// checkPlain checks that blob comes back untouched as one record.
func checkPlain(tb testing.TB, blob []byte) {
	tb.Helper()
	recs, aggregated := Deaggregate("the key", "17", blob)
	if aggregated {
		tb.Fatalf("unexpected aggregate; got %q", recs)
	}
	if d := diff(recs, []UserRecord{record("the key", "17", string(blob))}); d != "" {
		tb.Fatal(d)
	}
}

func TestWhatIsNotFramedIsPlain(t *testing.T) {
	blob := vectors(t)[0].blob
	flipped := func(i int) []byte {
		c := bytes.Clone(blob)
		c[i] ^= 1
		return c
	}
	for _, tc := range []struct {
		name string
		blob []byte
	}{
		{"nothing", nil},
		{"text", []byte("hello, world: longer than an empty frame")},
		{"captured single record", []byte("RECORD 749 pjqrcfbxafzdndzmbgane")},
		{"magic alone", blob[:4]},
		{"part of the magic", blob[:3]},
		{"cut to 19 bytes", blob[:19]},
		{"cut to 20 bytes", blob[:20]},
		{"frame around nothing", frame(nil)},
		{"magic shifted by a byte", append([]byte{0}, blob...)},
		{"first byte missing", blob[1:]},
		{"one byte of MD5 missing", blob[:len(blob)-1]},
		{"one byte too many", append(bytes.Clone(blob), 0)},
		{"last byte of magic wrong", flipped(3)},
		{"bit flipped in the message", flipped(4)},
		{"bit flipped in the MD5", flipped(len(blob) - 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if IsAggregated(tc.blob) {
				t.Error("unexpected frame")
			}
			checkPlain(t, tc.blob)
		})
	}
	if !IsAggregated(blob) {
		t.Error("unexpected answer: the untouched blob is not recognised")
	}
}

const goodTable = "\n\x01k"

// inRecord returns a message with one table entry and one record of these fields,
// at most 127 bytes.
func inRecord(fields string) string {
	return goodTable + "\x1a" + string(rune(len(fields))) + fields
}

func TestMalformedMessageIsPlain(t *testing.T) {
	for _, tc := range []struct{ name, msg string }{
		{"table without a record", goodTable},
		{"record without a table", "\x1a\x04\x08\x00\x1a\x00"},
		{"partition key index beyond the table", inRecord("\x08\x01\x1a\x00")},
		{"largest partition key index", inRecord("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x00")},
		{"explicit hash key index beyond the table", "\x12\x017" + inRecord("\x08\x00\x10\x01\x1a\x00")},
		{"empty record", inRecord("")},
		{"partition key index missing", inRecord("\x1a\x01x")},
		{"partition key index of another wire type", inRecord("\x0a\x00\x1a\x01x")},
		{"data missing", inRecord("\x08\x00")},
		{"data of another wire type", inRecord("\x08\x00\x18\x05")},
		{"second record malformed", inRecord("\x08\x00\x1a\x00") + "\x1a\x02\x08\x00"},

		{"table entry longer than the message", "\n\x02k"},
		{"record longer than the message", goodTable + "\x1a\x05\x08\x00\x1a\x00"},
		{"data longer than the record", inRecord("\x08\x00\x1a\x01")},
		{"data of 2^63-1 bytes", inRecord("\x08\x00\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")},
		{"data of 2^63 bytes", inRecord("\x08\x00\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")},
		{"data of 2^64-1 bytes", inRecord("\x08\x00\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
		{"data of 4 GiB", inRecord("\x08\x00\x1a\x80\x80\x80\x80\x10")},

		{"tag cut short", inRecord("\x08\x00\x1a\x00\x80")},
		{"index cut short", inRecord("\x1a\x00\x08\x80")},
		{"length missing", inRecord("\x08\x00\x1a")},
		{"value missing", inRecord("\x1a\x00\x08")},
		{"varint of more than 64 bits", inRecord("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x1a\x00")},
		{"varint of eleven bytes", inRecord("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x1a\x00")},
		{"field number zero", inRecord("\x08\x00\x1a\x00\x00\x00")},
		{"field number beyond 2^29-1", inRecord("\x08\x00\x1a\x00\x80\x80\x80\x80\x10\x00")},
		{"unknown fixed64 cut short", inRecord("\x08\x00\x1a\x00\x29\x00\x00\x00")},
		{"unknown fixed32 cut short", inRecord("\x08\x00\x1a\x00\x2d\x00\x00\x00")},
		{"unknown varint cut short", inRecord("\x08\x00\x1a\x00\x28\xff")},
		{"unknown bytes cut short", inRecord("\x08\x00\x1a\x00\x2a\x02x")},
		{"group without an end", inRecord("\x08\x00\x1a\x00\x2b")},
		{"end of another group", inRecord("\x08\x00\x1a\x00\x2b\x34")},
		{"group with a field cut short", inRecord("\x08\x00\x1a\x00\x2b\x12\x05x\x2c")},
		{"101 groups in each other", inRecord("\x08\x00\x1a\x00" + strings.Repeat("\x2b", 101) + strings.Repeat("\x2c", 101))},
		{"end of a group", inRecord("\x08\x00\x1a\x00\x2c")},
		{"end of a group at the top", inRecord("\x08\x00\x1a\x00") + "\x24"},
		{"wire type 6", inRecord("\x08\x00\x1a\x00\x2e\x00")},
		{"wire type 7", inRecord("\x08\x00\x1a\x00\x2f\x00")},

		{"tag without a key", inRecord("\x08\x00\x1a\x00\x22\x00")},
		{"tag with a value only", inRecord("\x08\x00\x1a\x00\x22\x03\x12\x01v")},
		{"tag longer than the record", inRecord("\x08\x00\x1a\x00\x22\x05\x0a\x01k")},
		{"tag value longer than the tag", inRecord("\x08\x00\x1a\x00\x22\x05\x0a\x01k\x12\x05")},
		{"tag key longer than the tag", inRecord("\x08\x00\x1a\x00\x22\x03\x0a\x02k")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			blob := frame([]byte(tc.msg))
			if !IsAggregated(blob) {
				t.Error("unexpected answer: frame not recognised")
			}
			checkPlain(t, blob)
		})
	}
}

func TestLenientDecoding(t *testing.T) {
	plainRecord := "\x1a\x05\x08\x00\x1a\x01x"
	for _, tc := range []struct {
		name, msg string
		want      []UserRecord
	}{
		{"explicit hash key index without a table", goodTable + "\x1a\x07\x08\x00\x10\x05\x1a\x01x", []UserRecord{record("k", "", "x")}},
		{"tables after the record", "\x1a\x07\x08\x00\x10\x00\x1a\x01x" + "\x12\x017" + goodTable, []UserRecord{record("k", "7", "x")}},
		{"fields of a record in another order", goodTable + "\x1a\x05\x1a\x01x\x08\x00", []UserRecord{record("k", "", "x")}},
		{"last of two values counts", goodTable + "\n\x01l" + "\x1a\x0a\x08\x00\x1a\x01x\x08\x01\x1a\x01y", []UserRecord{record("l", "", "y")}},
		{"unknown fields at the top", "\x20\x81\x01" + goodTable + "\x2a\x02??" + plainRecord + "\x31????????\x35????", []UserRecord{record("k", "", "x")}},
		{"unknown fields in a record", inRecord("\x28\x81\x01\x08\x00\x32\x01?\x39????????\x1a\x01x\x3d????"), []UserRecord{record("k", "", "x")}},
		{"known number of another wire type", goodTable + "\x08\x05" + plainRecord, []UserRecord{record("k", "", "x")}},
		{"unused table entries", goodTable + "\n\x05spare" + "\x12\x03???" + plainRecord, []UserRecord{record("k", "", "x")}},
		{"varint longer than needed", goodTable + "\x1a\x87\x00\x08\x80\x80\x00\x1a\x01x", []UserRecord{record("k", "", "x")}},
		{"key that is not UTF-8", "\n\x02\xff\x00" + plainRecord, []UserRecord{record("\xff\x00", "", "x")}},
		{"empty key", "\n\x00" + plainRecord, []UserRecord{record("", "", "x")}},
		{"explicit hash key that is no number", "\x12\x03 -7" + goodTable + "\x1a\x07\x08\x00\x10\x00\x1a\x01x", []UserRecord{record("k", " -7", "x")}},
		{
			"tags", goodTable + "\x1a\x16\x08\x00\x1a\x01x\x22\x06\x0a\x01a\x12\x01b\x22\x07\x12\x01?\x0a\x02cd",
			[]UserRecord{{PartitionKey: "k", Data: []byte("x"), Tags: []Tag{{"a", "b"}, {"cd", "?"}}}},
		},
		{
			"tag without a value, with an unknown field", goodTable + "\x1a\x0c\x08\x00\x1a\x01x\x22\x05\x0a\x01a\x18\x01",
			[]UserRecord{{PartitionKey: "k", Data: []byte("x"), Tags: []Tag{{Key: "a"}}}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			recs, aggregated := Deaggregate("a", "", frame([]byte(tc.msg)))
			if !aggregated {
				t.Fatal("unexpected plain record; want an aggregate")
			}
			if d := diff(recs, tc.want); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAppendingToDecodedDataLeavesTheInputAlone(t *testing.T) {
	blob := vectors(t)[0].blob
	before := slices.Clone(blob)
	recs, _ := Deaggregate("a", "", blob)
	for _, r := range recs {
		// One byte would fit into the rest of the input.
		if grown := append(r.Data, '!'); len(grown) != len(r.Data)+1 {
			t.Fatal("unexpected length")
		}
	}
	if !bytes.Equal(blob, before) {
		t.Error("unexpected change of the input by an append to decoded data")
	}
}

// A kilobyte must not make the decoder reserve memory for what its lengths claim.
func TestHugeLengthsReserveNothing(t *testing.T) {
	blob := frame([]byte(goodTable + "\x1a\xff\xff\xff\xff\x07" + strings.Repeat("x", 1000)))
	allocs := testing.AllocsPerRun(10, func() {
		if _, aggregated := Deaggregate("a", "", blob); aggregated {
			t.Error("unexpected aggregate")
		}
	})
	// The table, its entry and the plain record.
	if allocs > 3 {
		t.Errorf("unexpected allocations; got %v; want at most 3", allocs)
	}
}

// What the Kinesis Client Library delivers is not shown as damaged.
func TestWhatTheKCLTakesIsAnAggregate(t *testing.T) {
	const tables = "\x0a\x01a\x12\x017"
	record := func(msg string) string { return "\x1a" + string(rune(len(msg))) + msg }
	for name, msg := range map[string]string{
		"group in a record":              tables + record("\x08\x00\x1a\x01x\x2b\x2c"),
		"group at the top":               "\x23\x24" + tables + record("\x08\x00\x1a\x01x"),
		"groups with fields":             tables + record("\x08\x00\x2b\x08\x07\x33\x12\x01y\x34\x11abcdefgh\x15abcd\x2c\x1a\x01x"),
		"100 groups in each other":       tables + "\x1a\xcd\x01\x08\x00\x1a\x01x" + strings.Repeat("\x2b", 100) + strings.Repeat("\x2c", 100),
		"partition key index of 33 bits": tables + record("\x08\x80\x80\x80\x80\x10\x1a\x01x"),
		"explicit key index of 33 bits":  tables + record("\x08\x00\x10\x80\x80\x80\x80\x10\x1a\x01x"),
	} {
		recs, aggregated := Deaggregate("outer", "", frame([]byte(msg)))
		if !aggregated || len(recs) != 1 || recs[0].PartitionKey != "a" || string(recs[0].Data) != "x" {
			t.Errorf("%s: unexpected result; got %v, %v; want one user record", name, recs, aggregated)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package cbor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	library "github.com/aws/smithy-go/encoding/cbor"
)

var instant = time.UnixMilli(1795961271129).UTC()

func TestWhatIsAppendedIsWhatTheLibraryReads(t *testing.T) {
	buf := AppendMap(nil, 11)
	var want library.Map = map[string]library.Value{}
	add := func(name string, v library.Value, item []byte) {
		buf = append(AppendText(buf, name), item...)
		want[name] = v
	}
	long := strings.Repeat("x", 70_000)
	add("empty", library.String(""), AppendText(nil, ""))
	add("long", library.String(long), AppendText(nil, long))
	add("bytes", library.Slice("\x00\xff"), AppendBytes(nil, []byte("\x00\xff")))
	add("list", library.List{library.Uint(23), library.Uint(24), library.Uint(255), library.Uint(256)},
		AppendInt(AppendInt(AppendInt(AppendInt(AppendArray(nil, 4), 23), 24), 255), 256))
	add("large", library.Uint(math.MaxInt64), AppendInt(nil, math.MaxInt64))
	add("negative", library.NegInt(500), AppendInt(nil, -500))
	add("true", library.Bool(true), AppendBool(nil, true))
	add("null", &library.Nil{}, AppendNull(nil))
	add("number", library.Float64(1.5), AppendFloat(nil, 1.5))
	add("date", &library.Tag{ID: 1, Value: library.Uint(1795961271129)}, AppendTime(nil, instant))
	add("not UTF-8", library.String("a\ufffd\ufffdb"), AppendText(nil, "a\xff\xc3b"))
	got, err := library.Decode(buf)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, library.Value(want)) {
		t.Errorf("unexpected items; got %v; want %v", got, want)
	}
}

// TestShapesComeBackAsTheyWere goes through the types of the SDK, in both directions.
func TestShapesComeBackAsTheyWere(t *testing.T) {
	for name, c := range map[string]struct {
		in  smithy.Serializable
		out smithy.Deserializable
	}{
		"records": {&kinesis.GetRecordsOutput{
			MillisBehindLatest: aws.Int64(7), NextShardIterator: aws.String("n\u00e4chster"),
			ChildShards: []types.ChildShard{{ShardId: aws.String("c"), ParentShards: []string{"a", "b"}, HashKeyRange: &types.HashKeyRange{StartingHashKey: aws.String("0"), EndingHashKey: aws.String("9")}}},
			Records: []types.Record{
				{Data: []byte("\xff\x00{"), PartitionKey: aws.String("k"), SequenceNumber: aws.String("1"), ApproximateArrivalTimestamp: &instant, EncryptionType: types.EncryptionTypeNone},
				{Data: []byte{}},
			},
		}, &kinesis.GetRecordsOutput{}},
		"summary": {&kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{
			StreamName: aws.String("s"), StreamCreationTimestamp: &instant, OpenShardCount: aws.Int32(-3), EnhancedMonitoring: []types.EnhancedMetrics{{}},
		}}, &kinesis.DescribeStreamSummaryOutput{}},
		"nothing": {&kinesis.ListShardsOutput{}, &kinesis.ListShardsOutput{}},
	} {
		var w Writer
		c.in.Serialize(&w)
		r := NewShapeReader(w.Bytes())
		if err := errors.Join(c.out.Deserialize(r), r.End()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(any(c.in), any(c.out)) {
			t.Errorf("%s: unexpected value; got %+v; want %+v", name, c.out, c.in)
		}
		if _, err := library.Decode(w.Bytes()); err != nil {
			t.Errorf("%s: the library cannot read it: %v", name, err)
		}
		for n := range w.Bytes() { // cut off anywhere
			r := NewShapeReader(w.Bytes()[:n])
			if err := errors.Join(c.out.Deserialize(r), r.End()); err == nil {
				t.Errorf("%s: unexpected success with %d of %d bytes", name, n, len(w.Bytes()))
			}
		}
	}
}

// What servers send beside what Kinesis is known to send: kinesis-local has nulls, blobs in
// base64 and dates without a tag, kinesalite dates in seconds.
func TestAnswersOfOtherServersAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		item    string // of ApproximateArrivalTimestamp
		want    time.Time
		seconds bool
	}{
		"tag and milliseconds":            {"c11b000001a227a33a19", time.UnixMilli(1795961338393), false},
		"milliseconds":                    {"1b000001a227a2386a", time.UnixMilli(1795961272426), false},
		"seconds with a fraction":         {"fb41dac30c6bcd2f1b", time.UnixMilli(1795961263206), true},
		"seconds":                         {"1a6b0c31ac", time.Unix(1795961260, 0), true},
		"milliseconds as a float":         {"fb427a227a2386a000", time.UnixMilli(1795961272426), false},
		"tag and seconds with a fraction": {"c1fb41dac30c6bcd2f1b", time.UnixMilli(1795961263206), true},
	} {
		t.Run(name, func(t *testing.T) {
			body := AppendMap(nil, 3)
			body = append(AppendText(body, "ChildShards"), simpleNull)
			body = append(AppendText(body, "Unknown"), 0x82, 0xa1, 0x61, 'a', simpleUndefined, 0xf9, 0x3c, 0x00)
			body = AppendMap(AppendArray(AppendText(body, "Records"), 1), 3)
			body = AppendText(AppendText(body, "Data"), "/wB7")
			body = append(AppendText(body, "EncryptionType"), simpleNull)
			item, err := hex.DecodeString(c.item)
			if err != nil {
				t.Fatal(err)
			}
			body = append(AppendText(body, "ApproximateArrivalTimestamp"), item...)
			var out kinesis.GetRecordsOutput
			r := NewShapeReader(body)
			if err := errors.Join(out.Deserialize(r), r.End()); err != nil {
				t.Fatal(err)
			}
			if got := out.Records[0]; string(got.Data) != "\xff\x00{" || !got.ApproximateArrivalTimestamp.Equal(c.want) || r.Seconds != c.seconds {
				t.Errorf("unexpected record; got %q, %v, seconds %t; want %v, %t", got.Data, got.ApproximateArrivalTimestamp.UTC(), r.Seconds, c.want.UTC(), c.seconds)
			}
		})
	}
}

func TestErrorsAreRead(t *testing.T) {
	for _, c := range []struct{ body, code, message string }{
		{"", "", ""},
		{"a1665f5f747970656158", "X", ""},
		{"a2665f5f747970656158674d6573736167656159", "X", "Y"}, // kinesalite's SerializationException
		{"bf676d6573736167657f61596159ff665f5f747970656158ff", "X", "YY"},
		{"a264636f64656143665f5f747970656158", "X", ""},
		{"a1665f5f7479706501", "", ""},
	} {
		body, err := hex.DecodeString(c.body)
		if err != nil {
			t.Fatal(err)
		}
		code, message, err := Problem(body)
		if code != c.code || message != c.message || err != nil {
			t.Errorf("unexpected error in %s; got %q, %q, %v; want %q, %q", c.body, code, message, err, c.code, c.message)
		}
	}
	for _, body := range []string{"<html>", "{}", "\xa1", "\xa0\xa0", "\xbf"} {
		if code, message, err := Problem([]byte(body)); err == nil || code+message != "" {
			t.Errorf("unexpected success with %q; got %q, %q", body, code, message)
		}
	}
}

func TestWrongInputIsAnErrorWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		body, want string
		read       func(*Reader)
	}{
		"other item":         {"aa", "got major type 3; want 2 at byte 0", func(r *Reader) { r.Bytes() }},
		"too large":          {"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "is too large", func(r *Reader) { r.Int() }},
		"too small":          {";\xff\xff\xff\xff\xff\xff\xff\xff", "is too small", func(r *Reader) { r.Int() }},
		"fraction":           {"\xf9>\x00", "1.5 is not an integer", func(r *Reader) { r.Int() }},
		"more items than is": {"\x9b\x00\x00\x00\xff\xff\xff\xff\xff", "ends in the middle", func(r *Reader) { r.Array() }},
		"longer than is":     {"[\x00\x00\x00\xff\xff\xff\xff\xff", "ends in the middle", func(r *Reader) { r.Bytes() }},
		"reserved head":      {"\x1c", "unexpected head 0x1c", func(r *Reader) { r.Skip() }},
		"break without open": {"\xff", "unexpected head 0xff", func(r *Reader) { r.Skip() }},
		"piece of pieces":    {"\x7f\x7f", "pieces in a piece", func(r *Reader) { r.Text() }},
		"other tag":          {"\xc0aa", "unexpected tag; got 0; want 1", func(r *Reader) { r.Time() }},
		"not a date":         {"\xf9~\x00", "not a date", func(r *Reader) { r.Time() }},
		"not a boolean":      {"\x01", "want a boolean", func(r *Reader) { r.Bool() }},
		"too deep":           {strings.Repeat("\x81", 100) + "\x01", "more than 64 levels", func(r *Reader) { r.Skip() }},
		"two items":          {"\x01\x02", "behind the end", func(r *Reader) { r.Skip() }},
	} {
		r := NewReader([]byte(c.body))
		c.read(&r)
		if err := r.End(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: unexpected error; got %v; want %q in it", name, err, c.want)
		}
	}
}

func TestHalfFloatsAreRead(t *testing.T) {
	for body, want := range map[string]float64{
		"\xf9\x00\x00": 0, "\xf9<\x00": 1, "\xf9\xc4\x00": -4, "\xf9{\xff": 65504, "\xf9\x00\x01": 5.960464477539063e-8,
		"\xf9\x04\x00": 0.00006103515625, "\xf9|\x00": math.Inf(1), "\xfaG\xc3P\x00": 100000,
	} {
		r := NewReader([]byte(body))
		if got := r.Float(); got != want || r.End() != nil {
			t.Errorf("unexpected number; got %v; want %v", got, want)
		}
	}
}

// value reads an item as the library has it.
func value(r *Reader) library.Value {
	switch r.Next() {
	case Int:
		n := r.Int()
		if n < 0 {
			return library.NegInt(-n)
		}
		return library.Uint(n)
	case Bytes:
		return library.Slice(bytes.Clone(r.Bytes()))
	case Text:
		return library.String(r.Text())
	case Array:
		list := library.List{}
		for l := r.Array(); r.More(&l); {
			list = append(list, value(r))
		}
		return list
	case Map:
		m := library.Map{}
		for l := r.Map(); r.More(&l); {
			name := string(r.Text())
			m[name] = value(r)
		}
		return m
	case Bool:
		return library.Bool(r.Bool())
	}
	r.Fail("not compared")
	return nil
}

// FuzzReader compares with the SDK's decoder wherever both read something, and reads all
// shapes from anything.
func FuzzReader(f *testing.F) {
	var w Writer
	(&kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: []types.PutRecordsRequestEntry{{Data: []byte("d"), PartitionKey: aws.String("k")}}}).Serialize(&w)
	f.Add(w.Bytes())
	f.Add([]byte("\xa2aa\x83\x01 \xf5ab_AxAyy\xff"))
	f.Add(AppendTime(AppendText(AppendMap(nil, 1), "StreamCreationTimestamp"), instant))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 4096 {
			return // values of a great depth take the stack of the test
		}
		r := NewReader(body)
		got := value(&r)
		want, err := library.Decode(body)
		if r.End() == nil && (err != nil || !reflect.DeepEqual(got, want)) {
			t.Errorf("unexpected value of %x; got %v; want %v, %v", body, got, want, err)
		}
		skip := NewReader(body)
		skip.Skip()
		if r.End() == nil && skip.End() != nil {
			t.Errorf("cannot skip %x: %v", body, skip.End())
		}
		for _, out := range []smithy.Deserializable{&kinesis.GetRecordsOutput{}, &kinesis.ListShardsOutput{}, &kinesis.DescribeStreamSummaryOutput{}, &kinesis.PutRecordsOutput{}} {
			_ = out.Deserialize(NewShapeReader(body))
		}
		_, _, _ = Problem(body)
	})
}

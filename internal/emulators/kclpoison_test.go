// SPDX-License-Identifier: Apache-2.0

package emulators_test

import (
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
	"github.com/outkpl/outkpl/internal/emulators/kcltest"
)

// frame makes an aggregate of a protobuf message, whatever is in it.
func frame(msg []byte) []byte {
	sum := md5.Sum(msg)
	return append(append([]byte("\xf3\x89\x9a\xc2"), msg...), sum[:]...)
}

// message is a protobuf message, made field by field.
type message []byte

func (m message) number(field int, v uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3), v)
}

func (m message) bytes(field int, b string) message {
	return append(binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3|2), uint64(len(b))), b...)
}

// record appends a Record message. A negative index stands for none.
func (m message) record(pk, ehk int64, data string) message {
	var r message
	if pk >= 0 {
		r = r.number(1, uint64(pk))
	}
	if ehk >= 0 {
		r = r.number(2, uint64(ehk))
	}
	return m.bytes(3, string(r.bytes(3, data)))
}

// reading is what a reader makes of a Kinesis record.
type reading string

const (
	asUsers   reading = "user records"
	asPlain   reading = "a plain record"
	asNothing reading = "nothing"
	asError   reading = "an error"
	// asBadKey is user records of which one has a hash key that is no number of the
	// ring: a consumer that checks ranges drops the aggregate.
	asBadKey reading = "user records, one with a bad hash key"
)

// strange are messages in a frame with the right checksum that no sane writer makes,
// with what the KCL 3.5.1 and package aggregation make of them (2026-11-28).
var strange = []struct {
	name      string
	msg       message
	kcl, ours reading
	// jaxb is what the KCL makes of it if it can log. If it delivers, then what is in
	// before the user record that it cannot read.
	jaxb []string
}{
	{"hash key is no number, first", tables("a", "abc").record(0, 0, "1").record(0, none, "2"), asError, asBadKey, nil},
	{"hash key is no number, last", tables("a", "abc").record(0, none, "1").record(0, 0, "2"), asError, asBadKey, []string{"1"}},
	{"hash key is no number, in the middle", tables("a", "abc").record(0, none, "1").record(0, 0, "2").record(0, none, "3"), asError, asBadKey, []string{"1"}},
	{"hash key with a blank", tables("a", " 7").record(0, 0, "1"), asError, asBadKey, nil},
	{"hash key is no number and not used", tables("a", "abc").record(0, none, "1"), asUsers, asUsers, []string{"1"}},
	{"partition key index past its table", tables("a").record(0, none, "1").record(1, none, "2"), asError, asPlain, []string{"1"}},
	{"hash key index past its table", tables("a", "7").record(0, 0, "1").record(0, 1, "2"), asError, asPlain, []string{"1"}},
	{"index of 31 bits", tables("a").record(1<<31, none, "1"), asError, asPlain, nil},
	{"hash key below the ring", tables("a", "-1").record(0, none, "1").record(0, 0, "2"), asNothing, asBadKey, nil},
	{"hash key above the ring", tables("a", "340282366920938463463374607431768211456").record(0, none, "1").record(0, 0, "2"), asNothing, asBadKey, nil},
	{"no user record", tables("a"), asNothing, asPlain, nil},
	{"user record without data", tables("a").record(0, none, "1").bytes(3, string(message{}.number(1, 0))), asPlain, asPlain, nil},
	{"user record without partition key", tables("a").record(none, none, "1"), asPlain, asPlain, nil},
	{"tag without key", tables("a").bytes(3, string(message{}.number(1, 0).bytes(3, "1").bytes(4, ""))), asPlain, asPlain, nil},
	{"cut short", tables("a").record(0, none, "1")[:5], asPlain, asPlain, nil},
	{"leading zeros", tables("a", "007").record(0, 0, "1"), asUsers, asUsers, []string{"1"}},
	{"table behind the records", message{}.record(0, none, "1").bytes(1, "a"), asUsers, asUsers, []string{"1"}},
	{"unknown fields", tables("a").record(0, none, "1").bytes(9, "x").number(8, 1), asUsers, asUsers, []string{"1"}},
	{"tag", tables("a").bytes(3, string(message{}.number(1, 0).bytes(3, "1").bytes(4, string(message{}.bytes(1, "k"))))), asUsers, asUsers, []string{"1"}},
	{"index of 33 bits", tables("a").record(1<<32, none, "1"), asUsers, asUsers, []string{"1"}}, // it looks at 32 bits
	{"hash key index of 33 bits", tables("a", "7", "8").record(0, 1<<32+1, "1"), asUsers, asUsers, []string{"1"}},
	{"group", append(tables("a").record(0, none, "1"), 0x2b, 0x2c), asUsers, asUsers, []string{"1"}},
	{"group in a group, with fields", append(tables("a").record(0, none, "1"), 0x2b, 0x08, 0x07, 0x33, 0x12, 0x01, 'x', 0x34, 0x2c), asUsers, asUsers, []string{"1"}},
	{"group in a user record", tables("a").bytes(3, string(append(message{}.number(1, 0).bytes(3, "1"), 0x2b, 0x2c))), asUsers, asUsers, []string{"1"}},
	{"group without an end", append(tables("a").record(0, none, "1"), 0x2b), asPlain, asPlain, nil},
	{"end of another group", append(tables("a").record(0, none, "1"), 0x2b, 0x34), asPlain, asPlain, nil},
	{"end of no group", append(tables("a").record(0, none, "1"), 0x2c), asPlain, asPlain, nil},
	{"key that is not UTF-8", tables("k\xff").record(0, none, "1"), asUsers, asUsers, []string{"1"}},

	// Here the KCL takes more than we do.
	{"hash key with a sign", tables("a", "+7").record(0, 0, "1"), asUsers, asBadKey, []string{"1"}},
	{"hash key in Arabic digits", tables("a", "\u0663").record(0, 0, "1"), asUsers, asBadKey, []string{"1"}},

	// Here we take more than the KCL does, and so tell nobody that it drops them.
	{"empty hash key", tables("a", "").record(0, none, "1").record(0, 0, "2"), asError, asUsers, []string{"1"}},
	{"hash key index without a table", tables("a").record(0, 0, "1").record(0, 0, "2"), asError, asUsers, nil},
}

// none stands for an index that is left out.
const none = -1

// tables begins a message with one partition key and any number of hash keys.
func tables(pk string, ehks ...string) message {
	m := message{}.bytes(1, pk)
	for _, k := range ehks {
		m = m.bytes(2, k)
	}
	return m
}

// strangeShards puts each of the messages into a shard of its own, since an Error
// costs the whole page.
func strangeShards() []emulators.KCLShard {
	var shards []emulators.KCLShard
	for _, s := range strange {
		shard := whole
		shard.ID = s.name
		shard.Records = []emulators.Record{{PartitionKey: "outer", SequenceNumber: "1", Data: frame(s.msg)}}
		shards = append(shards, shard)
	}
	return shards
}

// TestStrangeAggregatesAreReadAsTold states what the KCL and we make of aggregates
// that are none of ours.
func TestStrangeAggregatesAreReadAsTold(t *testing.T) {
	emulatorstest.RequireJVM(t)
	users, err := emulators.DeaggregateKCL(t.Context(), strangeShards())
	kcl := map[string]reading{}
	for _, u := range users {
		kcl[u.ShardID] = asPlain
		if u.Aggregated {
			kcl[u.ShardID] = asUsers
		}
	}
	for _, e := range thrown(t, err) {
		kcl[e.ShardID] = asError
		if e.Thrown != "java.lang.NoClassDefFoundError: javax/xml/bind/DatatypeConverter" {
			t.Errorf("%s: unexpected error of the KCL; got %s", e.ShardID, e.Thrown)
		}
	}
	for _, s := range strange {
		got := kcl[s.name]
		if got == "" {
			got = asNothing
		}
		if got != s.kcl {
			t.Errorf("%s: the KCL reads something unexpected; got %s; want %s", s.name, got, s.kcl)
		}
		ours := asPlain
		recs, aggregated := aggregation.Deaggregate("outer", "", frame(s.msg))
		if aggregated {
			ours = asUsers
			for _, r := range recs {
				if _, err := r.HashKey(); err != nil {
					ours = asBadKey
				}
			}
		}
		if ours != s.ours {
			t.Errorf("%s: we read something unexpected; got %s; want %s", s.name, ours, s.ours)
		}
	}
}

// With --kcl, kplcat shows what the KCL delivers of such aggregates, and nothing that it drops.
func TestKplcatShowsOfStrangeAggregatesWhatTheKCLDelivers(t *testing.T) {
	emulatorstest.RequireJVM(t)
	fake := kinesistest.New(kinesistest.WithStream(kclStream, 1))
	at := map[string]string{} // sequence numbers by name
	for _, s := range strange {
		out, err := fake.Client().PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String(kclStream), PartitionKey: aws.String("outer"), Data: frame(s.msg)})
		if err != nil {
			t.Fatal(err)
		}
		at[s.name] = *out.SequenceNumber
	}
	shown := map[string][]kcltest.Shown{}
	for _, u := range kcltest.BuildKplcat(t).Read(t, fake, kclStream, "--kcl") {
		shown[u.SequenceNumber] = append(shown[u.SequenceNumber], u)
	}
	for _, s := range strange {
		got := shown[at[s.name]]
		var users []string
		for _, u := range got {
			if u.Aggregated {
				users = append(users, string(u.Data))
			}
		}
		switch {
		case s.kcl == asError || s.kcl == asNothing:
			if len(got) > 0 {
				t.Errorf("%s: unexpected records; got %+v; want none", s.name, got)
			}
		case s.kcl == asPlain:
			if len(got) != 1 || !got[0].Damaged {
				t.Errorf("%s: unexpected records; got %+v; want a damaged aggregate", s.name, got)
			}
		case s.ours != asUsers: // here the KCL takes more than we do
		case !slices.Equal(users, s.jaxb):
			t.Errorf("%s: unexpected user records; got %q; want %q", s.name, users, s.jaxb)
		}
	}
}

// Where the KCL can log, it has delivered what is before the user record that
// it cannot read, and goes on with the next Kinesis record.
func TestKCLWithJAXBDeliversWhatIsBeforeTheBadRecord(t *testing.T) {
	emulatorstest.RequireJVM(t)
	users, err := emulators.DeaggregateKCLWithJAXB(t.Context(), strangeShards())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, u := range users {
		if u.Aggregated {
			got[u.ShardID] = append(got[u.ShardID], string(u.Data))
		}
	}
	for _, s := range strange {
		if !slices.Equal(got[s.name], s.jaxb) {
			t.Errorf("%s: unexpected user records; got %q; want %q", s.name, got[s.name], s.jaxb)
		}
	}
}

// On Java 11 and later a user record that the KCL cannot read costs all that came
// with it, in other Kinesis records too.
func TestErrorOfTheKCLCostsTheWholePage(t *testing.T) {
	emulatorstest.RequireJVM(t)
	good := frame(tables("a").record(0, none, "1").record(0, none, "2"))
	shards := []emulators.KCLShard{whole, whole}
	shards[0].Records = []emulators.Record{
		{PartitionKey: "a", SequenceNumber: "1", Data: good},
		{PartitionKey: "a", SequenceNumber: "2", Data: frame(strange[0].msg)},
		{PartitionKey: "a", SequenceNumber: "3", Data: []byte("plain")},
	}
	shards[1].ID = "shardId-000000000001"
	shards[1].Records = []emulators.Record{{PartitionKey: "a", SequenceNumber: "4", Data: good}}
	users, err := emulators.DeaggregateKCL(t.Context(), shards)
	if e := thrown(t, err); len(e) != 1 || e[0].ShardID != whole.ID || e[0].SequenceNumber != "1" {
		t.Errorf("unexpected errors; got %v; want one of shard %s", err, whole.ID)
	}
	if len(users) != 2 || users[0].SequenceNumber != "4" {
		t.Errorf("unexpected user records; got %+v; want those of the other shard", users)
	}
	users, err = emulators.DeaggregateKCLWithJAXB(t.Context(), shards)
	if err != nil || len(users) != 5 {
		t.Errorf("unexpected result with JAXB; got %d user records, %v; want 5", len(users), err)
	}
}

// thrown takes the errors of the KCL out of a joined error.
func thrown(t *testing.T, err error) (list []*emulators.KCLThrownError) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("unexpected error; got %v; want some of the KCL", err)
	}
	for _, err := range joined.Unwrap() {
		var e *emulators.KCLThrownError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// The KCL takes the MD5 of a partition key after it has made a Java string of it.
// Bytes that are not UTF-8 have become U+FFFD by then, so it looks for the
// record in another place than who hashes the bytes, as Kinesis is never asked to do,
// and drops the aggregate, with the neighbours of the key.
func TestKCLDropsAggregatesWithKeysThatAreNotUTF8(t *testing.T) {
	emulatorstest.RequireJVM(t)
	lower, upper := whole, whole
	lower.ID, lower.EndingHashKey = "lower", aggregation.HashKey{Hi: 1<<63 - 1, Lo: 1<<64 - 1}.String()
	upper.ID, upper.StartingHashKey = "upper", aggregation.HashKey{Hi: 1 << 63}.String()
	want := map[string]int{}
	stay, move := 0, 0
	for i := range 40 {
		key := fmt.Sprintf("k%d\xff\xfe", i)
		shard := &lower
		if aggregation.HashPartitionKey(key).Hi>>63 == 1 {
			shard = &upper
		}
		sequence := fmt.Sprint(shard.ID, i)
		neighbour := aggregation.HashKey{Hi: aggregation.HashPartitionKey(key).Hi}
		var b aggregation.Builder
		b.AddExplicit("neighbour", neighbour, []byte("1"))
		b.Add(key, []byte("2"))
		shard.Records = append(shard.Records, emulators.Record{PartitionKey: "a", SequenceNumber: sequence, Data: b.AppendTo(nil)})
		// Half of the keys stay in their half of the ring, by chance.
		if aggregation.HashPartitionKey(fmt.Sprintf("k%d\ufffd\ufffd", i)).Hi>>63 == aggregation.HashPartitionKey(key).Hi>>63 {
			want[sequence] = 2
			stay++
		} else {
			move++
		}
	}
	if stay < 10 || move < 10 {
		t.Fatalf("unexpected keys; got %d that stay and %d that move; want 10 of each at least", stay, move)
	}
	users, err := emulators.DeaggregateKCL(t.Context(), []emulators.KCLShard{lower, upper})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, u := range users {
		got[u.SequenceNumber]++
		if u.SubSequenceNumber == 1 && !strings.HasSuffix(u.PartitionKey, "\ufffd\ufffd") {
			t.Errorf("unexpected partition key; got %q; want one that ends in U+FFFD", u.PartitionKey)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("unexpected user records; got %v; want %v", got, want)
	}
}

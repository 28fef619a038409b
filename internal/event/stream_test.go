// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// streamsOf adds events {"s": value} and returns the streams of the records.
func streamsOf(t *testing.T, b *Builder, s *Shaper, tag string, values ...string) (streams []string, outcome Outcome) {
	t.Helper()
	b.Reset()
	for _, v := range values {
		body := fixmap(str("s"), str(v))
		o, err := b.Add(s, tag, &Event{Body: body})
		if err != nil {
			t.Fatal(err)
		}
		outcome |= o
	}
	for i := range b.Records() {
		streams = append(streams, b.Streams()[b.StreamOf(i)])
	}
	return streams, outcome
}

func TestStreamOfAnEvent(t *testing.T) {
	arn := "arn:aws:kinesis:eu-west-1:1:stream/"
	for _, tt := range []struct {
		name    string
		cfg     Config
		values  []string
		want    []string
		outcome Outcome
	}{
		{"by field", Config{Stream: "logs-$s"}, []string{"a", "b", "a"}, []string{"logs-a", "logs-b", "logs-a"}, 0},
		{"by tag", Config{Stream: "$TAG[1]"}, []string{"a", "b"}, []string{"x", "x"}, 0},
		{"by ARN", Config{Stream: arn + "$s", StreamAllow: []string{"a*"}}, []string{"a"}, []string{arn + "a"}, 0},
		{"plain text", Config{Stream: "one"}, []string{"a"}, []string{"one"}, 0},
		{"missing without a rule", Config{Stream: "$none"}, []string{"a"}, nil, StreamMissing | Unroutable},
		{"missing, tag part", Config{Stream: "$TAG[5]"}, []string{"a"}, nil, StreamMissing | Unroutable},
		{"missing, constant", Config{Stream: "$none", StreamMissing: "constant:rest"}, []string{"a"}, []string{"rest"}, StreamMissing},
		{"missing, drop", Config{Stream: "$none", StreamMissing: "drop"}, []string{"a"}, nil, StreamMissing | Dropped},
		{"no stream name", Config{Stream: "logs-$s"}, []string{"a/b", "ok"}, []string{"logs-ok"}, StreamRefused | Unroutable},
		{"too long", Config{Stream: "$s"}, []string{strings.Repeat("x", 129)}, nil, StreamRefused | Unroutable},
		{
			"not allowed",
			Config{Stream: "$s", StreamAllow: []string{"logs-*", "b?"}, StreamMissing: "constant:rest"},
			[]string{"logs-1", "other", "b1", "b12", "xlogs-1"},
			[]string{"logs-1", "rest", "b1", "rest", "rest"},
			StreamRefused,
		},
		{
			"too many, the constant counts",
			Config{Stream: "$s", MaxStreams: 3, StreamMissing: "constant:rest"},
			[]string{"a", "b", "c", "a", "d"},
			[]string{"a", "b", "rest", "a", "rest"},
			StreamRefused,
		},
	} {
		var b Builder
		s := mustShaper(t, tt.cfg)
		for range 2 { // the second time with what the first has left
			got, outcome := streamsOf(t, &b, s, "kube.x", tt.values...)
			if !slices.Equal(got, tt.want) || outcome != tt.outcome {
				t.Errorf("unexpected streams, %s; got %v (%v); want %v (%v)", tt.name, got, outcome, tt.want, tt.outcome)
			}
		}
		var other Builder // as a second flush at the same time
		if got, _ := streamsOf(t, &other, s, "kube.x", tt.values...); !slices.Equal(got, tt.want) {
			t.Errorf("unexpected streams of another builder, %s; got %v; want %v", tt.name, got, tt.want)
		}
	}
}

func TestStreamsStayBounded(t *testing.T) {
	var b Builder
	s := mustShaper(t, Config{Stream: "$s", MaxStreams: 5})
	for i := range 1000 {
		streamsOf(t, &b, s, "t", fmt.Sprint(i), fmt.Sprint(i+1))
	}
	if len(b.Streams()) > 2 || len(b.streamIndex) > 2 || len(s.streams.known) != 5 {
		t.Errorf("unexpected number of streams; got %d, %d, %d; want those of one chunk and 5", len(b.Streams()), len(b.streamIndex), len(s.streams.known))
	}
}

func TestAnEventCannotChooseAnAccountOrAPath(t *testing.T) {
	const arn = "arn:aws:kinesis:eu-west-1:1:stream/"
	for _, tt := range []struct{ stream, value string }{
		{"$s", "arn:aws:kinesis:us-east-1:666666666666:stream/logs-1"},
		{arn + "$s", "evil/logs-1"},
		{arn + "$s", "logs-1/consumer/logs-1:1"},
		{arn + "$s", arn + "logs-1"},
		{"$s", "stream/logs-1"},
		{"$s", "logs-1\x00"},
		{"$s", "logs-1\n"},
		{"$s", "logs-\u00e9"},
	} {
		var b Builder
		s := mustShaper(t, Config{Stream: tt.stream, StreamAllow: []string{"logs-*"}})
		if got, outcome := streamsOf(t, &b, s, "t", tt.value); got != nil || outcome != StreamRefused|Unroutable {
			t.Errorf("unexpected streams by %s for %q; got %v, %v; want none", tt.stream, tt.value, got, outcome)
		}
	}
}

func TestIdleStreamsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Builder
		s := mustShaper(t, Config{Stream: "$s", MaxStreams: 3, StreamMissing: "constant:rest", StreamIdle: time.Minute})
		want := func(values, streams string) {
			t.Helper()
			if got, _ := streamsOf(t, &b, s, "t", strings.Fields(values)...); strings.Join(got, " ") != streams {
				t.Errorf("unexpected streams of %s; got %v; want %s", values, got, streams)
			}
		}
		want("a b c", "a b rest")
		<-time.After(40 * time.Second)
		want("a c", "a rest")
		<-time.After(30 * time.Second)
		want("c d a b", "c rest a rest") // of b
		<-time.After(time.Hour)
		want("x", "x")
		want("y", "y")
		want("z", "rest")
	})
}

// A chunk that is read again is divided as before, whatever has become of the
// streams meanwhile.
func TestAPlanKeepsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Builder
		s := mustShaper(t, Config{Stream: "$s", MaxStreams: 2, StreamIdle: time.Minute})
		var p Plan
		read := func(p *Plan, values ...string) (streams []string) {
			b.Reset()
			b.Follow(s, p)
			for _, v := range values {
				if _, err := b.Add(s, "t", &Event{Body: fixmap(str("s"), str(v))}); err != nil {
					t.Fatal(err)
				}
			}
			p.Settle()
			for i := range b.Records() {
				streams = append(streams, b.Streams()[b.StreamOf(i)])
			}
			return streams
		}
		first := read(&p, "a", "b", "c", "a")
		if !slices.Equal(first, []string{"a", "b", "a"}) {
			t.Fatalf("unexpected streams; got %v", first)
		}
		<-time.After(time.Hour)
		if got := read(&Plan{}, "c", "d", "e"); !slices.Equal(got, []string{"c", "d"}) {
			t.Errorf("unexpected streams of the next chunk; got %v", got)
		}
		if got := read(&p, "a", "b", "c", "a"); !slices.Equal(got, first) {
			t.Errorf("unexpected streams at the second reading; got %v; want %v", got, first)
		}
	})
}

// A chunk that waits for its streams keeps them from being idle.
func TestReadingAgainUsesTheStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustShaper(t, Config{Stream: "$s", MaxStreams: 1, StreamIdle: time.Minute})
		var b Builder
		var p Plan
		read := func(p *Plan, v string) Outcome {
			b.Reset()
			b.Follow(s, p)
			o, err := b.Add(s, "t", &Event{Body: fixmap(str("s"), str(v))})
			if err != nil {
				t.Fatal(err)
			}
			p.Settle()
			return o
		}
		read(&p, "a")
		<-time.After(50 * time.Second)
		read(&p, "a")
		<-time.After(50 * time.Second)
		if o := read(&Plan{}, "b"); o != StreamRefused|Unroutable {
			t.Errorf("unexpected outcome; got %v; want no room", o)
		}
	})
}

// Room that comes free while a chunk is read is for the next chunk.
func TestThereIsNoRoomLaterInAChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustShaper(t, Config{Stream: "$s", MaxStreams: 1, StreamIdle: time.Minute})
		var b Builder
		add := func(v string) Outcome {
			o, err := b.Add(s, "t", &Event{Body: fixmap(str("s"), str(v))})
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		add("a")
		first := add("b")
		<-time.After(time.Hour)
		if second := add("b"); first != StreamRefused|Unroutable || second != first {
			t.Errorf("unexpected outcomes; got %v, then %v; want refused twice", first, second)
		}
		if b.Reset(); add("b") != 0 {
			t.Error("unexpected outcome in the next chunk; want none")
		}
	})
}

func TestAnotherShaperDecidesAnew(t *testing.T) {
	var b Builder
	wide, narrow := mustShaper(t, Config{Stream: "$s"}), mustShaper(t, Config{Stream: "$s", StreamAllow: []string{"b"}})
	streamsOf(t, &b, wide, "t", "a", "b")
	if got, _ := streamsOf(t, &b, narrow, "t", "a", "b"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("unexpected streams; got %v; want only b", got)
	}
}

func TestStreamOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Stream: "$"}, "no name after $"},
		{Config{Stream: "a/$b"}, "cannot be part of a stream's name"},
		{Config{Stream: "$a:$b"}, "cannot be part of a stream's name"},
		{Config{Stream: "arn:aws:firehose:eu-west-1:1:stream/$a"}, "arn:aws:kinesis"},
		{Config{StreamAllow: []string{"a b"}}, "stream_allow"},
		{Config{StreamAllow: []string{""}}, "stream_allow"},
		{Config{StreamAllow: []string{"a["}}, "stream_allow"},
		{Config{StreamMissing: "tag"}, "refuse, drop or constant:NAME"},
		{Config{StreamMissing: "constant:a b"}, "name or ARN"},
		{Config{MaxStreams: 1025}, "1 to 1024"},
	} {
		if _, err := NewShaper(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("unexpected error for %+v; got %v; want one with %q", tt.cfg, err, tt.want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "ab", false},
		{"", "", true},
		{"*", "", true},
		{"*", "abc", true},
		{"a*c", "abbc", true},
		{"a*c", "abcd", false},
		{"*b*", "abc", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"**a", "bba", true},
		{"log[a-c]", "logb", true},
		{"log[a-c]", "logd", false},
		{"log[^a-c]", "logd", true},
		{"a**", "a", true},
		{"*ab", "aab", true},
		{strings.Repeat("a*", 60), strings.Repeat("a", 127) + "b", true},
		{strings.Repeat("a*", 60) + "c", strings.Repeat("a", 128), false},
	} {
		if got := match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("unexpected match of %q and %q; got %v; want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

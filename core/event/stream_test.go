// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"slices"
	"strings"
	"testing"
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
		{"not allowed", Config{Stream: "$s", StreamAllow: []string{"logs-*", "b?"}, StreamMissing: "constant:rest"},
			[]string{"logs-1", "other", "b1", "b12", "xlogs-1"}, []string{"logs-1", "rest", "b1", "rest", "rest"}, StreamRefused},
		{"too many, the constant counts", Config{Stream: "$s", MaxStreams: 3, StreamMissing: "constant:rest"},
			[]string{"a", "b", "c", "a", "d"}, []string{"a", "b", "rest", "a", "rest"}, StreamRefused},
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
		streamsOf(t, &b, s, "t", fmt.Sprint(i))
	}
	if len(b.Streams()) != 5 || len(b.streamIndex) != 5 || len(s.streams.known) != 5 {
		t.Errorf("unexpected number of streams; got %d, %d, %d; want 5", len(b.Streams()), len(b.streamIndex), len(s.streams.known))
	}
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
		{"a", "a", true}, {"a", "b", false}, {"a", "ab", false}, {"", "", true}, {"*", "", true}, {"*", "abc", true},
		{"a*c", "abbc", true}, {"a*c", "abcd", false}, {"*b*", "abc", true}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{"**a", "bba", true}, {"a**", "a", true}, {"*ab", "aab", true},
		{strings.Repeat("a*", 60), strings.Repeat("a", 127) + "b", true},
		{strings.Repeat("a*", 60) + "c", strings.Repeat("a", 128), false},
	} {
		if got := match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("unexpected match of %q and %q; got %v; want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

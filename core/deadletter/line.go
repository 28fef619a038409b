// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/outkpl/outkpl/core"
)

// MaxLineBytes bounds the line of a dead letter, with its end. In base64, data of up to
// 95 MB has room in it.
const MaxLineBytes = 128 << 20

// line is the form of a dead letter in a file.
type line struct {
	Time         time.Time `json:"time"`
	Stream       string    `json:"stream,omitempty"`
	PartitionKey string    `json:"partition_key,omitempty"`
	// A key that is not UTF-8 is invalid for Kinesis, but has to come back as it was.
	PartitionKeyBytes []byte    `json:"partition_key_base64,omitempty"`
	ExplicitHashKey   string    `json:"explicit_hash_key,omitempty"`
	Reason            string    `json:"reason"`
	Code              string    `json:"code,omitempty"`
	Detail            string    `json:"detail,omitempty"`
	Attempts          []attempt `json:"attempts,omitempty"`
	Source            string    `json:"source,omitempty"`
	Events            int       `json:"events,omitempty"`
	Data              []byte    `json:"data"`
}

type attempt struct {
	Start          time.Time `json:"start"`
	DelayMS        float64   `json:"delay_ms,omitempty"`
	DurationMS     float64   `json:"duration_ms"`
	Shard          string    `json:"shard,omitempty"`
	SequenceNumber string    `json:"sequence_number,omitempty"`
	Code           string    `json:"code,omitempty"`
	Message        string    `json:"message,omitempty"`
	Uncertain      bool      `json:"uncertain,omitempty"`
}

// lineEnd is what follows the data on a line.
const lineEnd = "\"}\n"

// appendLine appends the dead letter's line, with its end.
func appendLine(buf *bytes.Buffer, l *Entry) error {
	if err := appendHead(buf, l); err != nil {
		return err
	}
	buf.Grow(base64.StdEncoding.EncodedLen(len(l.Data)) + len(lineEnd))
	buf.Write(base64.StdEncoding.AppendEncode(buf.AvailableBuffer(), l.Data))
	buf.WriteString(lineEnd)
	return nil
}

// appendHead appends the dead letter's line up to its data, which come last. What follows is
// the data in base64, and lineEnd.
func appendHead(buf *bytes.Buffer, l *Entry) error {
	out := line{
		Time: l.Time.UTC(), Stream: l.Stream, PartitionKey: l.PartitionKey, ExplicitHashKey: l.ExplicitHashKey,
		Reason: l.Reason, Code: l.Code, Detail: l.Detail, Source: l.Source, Events: l.Events, Data: []byte{},
	}
	if !utf8.ValidString(l.PartitionKey) {
		out.PartitionKey, out.PartitionKeyBytes = "", []byte(l.PartitionKey)
	}
	for _, a := range l.Attempts {
		out.Attempts = append(out.Attempts, attempt{
			Start: a.Start.UTC(), DelayMS: toMS(a.Delay), DurationMS: toMS(a.Duration()),
			Shard: a.ShardID, SequenceNumber: a.SequenceNumber,
			Code: a.Code, Message: a.Message, Uncertain: a.Uncertain,
		})
	}
	begin := buf.Len()
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	err := e.Encode(&out)
	if n := buf.Len() - begin + base64.StdEncoding.EncodedLen(len(l.Data)); err == nil && n > MaxLineBytes {
		err = fmt.Errorf("a line of %d bytes is longer than %d", n, MaxLineBytes)
	}
	if err != nil {
		buf.Truncate(begin)
		return err
	}
	buf.Truncate(buf.Len() - len(lineEnd))
	return nil
}

// parseLine is the opposite of appendLine. Its errors do not hold any of b.
func parseLine(b []byte) (Entry, error) {
	var in line
	if err := json.Unmarshal(b, &in); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return Entry{}, fmt.Errorf("invalid JSON at byte %d", syntax.Offset)
		}
		return Entry{}, errors.New("a field has a wrong type or form")
	}
	if in.Data == nil {
		return Entry{}, errors.New("there is no data")
	}
	if in.Events < 0 {
		return Entry{}, errors.New("the number of events is negative")
	}
	if !writable(in.Time) {
		return Entry{}, errors.New("a time is out of range")
	}
	l := Entry{
		Time: in.Time.UTC(), Stream: in.Stream, PartitionKey: in.PartitionKey, ExplicitHashKey: in.ExplicitHashKey,
		Reason: in.Reason, Code: in.Code, Detail: in.Detail, Source: in.Source, Events: in.Events, Data: in.Data,
	}
	if in.PartitionKeyBytes != nil {
		l.PartitionKey = string(in.PartitionKeyBytes)
	}
	for _, a := range in.Attempts {
		if !writable(a.Start) {
			return Entry{}, errors.New("a time is out of range")
		}
		l.Attempts = append(l.Attempts, core.Attempt{
			Start: a.Start.UTC(), Delay: fromMS(a.DelayMS), End: a.Start.UTC().Add(fromMS(a.DurationMS)),
			ShardID: a.Shard, SequenceNumber: a.SequenceNumber,
			Code: a.Code, Message: a.Message, Uncertain: a.Uncertain,
		})
	}
	return l, nil
}

// writable tells whether t has a form of RFC 3339 in UTC, too.
func writable(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 0 && y <= 9999
}

func toMS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func fromMS(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

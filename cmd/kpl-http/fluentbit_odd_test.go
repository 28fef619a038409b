// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/outkpl/outkpl/internal/testkit"
)

// oddRecords are records of MessagePack whose JSON Fluent Bit writes in its own way: each
// has its number under n. They take turns, n in all.
func oddRecords(t *testing.T, n int) [][]byte {
	pack := func(v any) []byte {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	text := func(b []byte) []byte { return append([]byte{0xda, byte(len(b) >> 8), byte(len(b))}, b...) }
	x, nan := pack("x"), pack(math.NaN())
	pairs := [][2][]byte{
		{x, nan},
		{x, pack(math.Copysign(math.NaN(), -1))},
		{x, pack(math.Inf(1))},
		{x, pack(math.Inf(-1))},
		{x, pack(float32(math.Inf(1)))},
		{{0x01}, x},
		{{0xff}, x},
		{pack(1.5), x},
		{pack(2.0), x},
		{{0xc3}, x},
		{{0xc2}, x},
		{{0xc0}, x},
		{nan, x},
		{pack(math.Inf(-1)), x},
		{pack([]int{1, 2}), x},
		{pack(map[string]float64{"a": math.NaN()}), x},
		{x, {0xd4, 5, 0x61}},
		{x, {0xd5, 5, 0x80, 0xff}},
		{x, {0xd7, 0xff, 0, 0, 0, 0, 0x65, 0, 0, 1}},
		{{0xd5, 5, 0x80, 0x22}, x},
		{x, {0xc7, 0, 5}},
		{x, pack(every)},
		{x, text(every)},
		{text([]byte("a\xe2\x82b\xff")), text([]byte("\xe2\x82\xc3\x9f\xed\xa0\x80\xc0\xaf\u20ac\U0001f600"))},
		{x, pack(1e300)},
		{x, pack(math.Copysign(0, -1))},
		{x, pack([]any{math.NaN(), map[int8]float64{2: math.Inf(1)}})},
	}
	var list [][]byte
	for i := range n {
		p := pairs[i%len(pairs)]
		list = append(list, bytes.Join([][]byte{{0x82}, pack("n"), pack(i), p[0], p[1]}, nil))
	}
	return list
}

// Each format of the output http of a real Fluent Bit brings every record: with floats that
// JSON does not have, keys that are no strings, extension types and bytes that are not text.
func TestFluentBitOddRecords(t *testing.T) {
	binary := os.Getenv("FLUENT_BIT")
	if binary == "" {
		t.Skip("NOT TESTED: odd records of a real Fluent Bit; set FLUENT_BIT=/path/to/fluent-bit")
	}
	const n = 2000
	records := oddRecords(t, n)
	for _, format := range []string{"json", "json_lines", "json_stream", "msgpack"} {
		t.Run(format, func(t *testing.T) {
			k := fake(t, 4)
			p := start(t, k)
			forward := testkit.FreeAddress(t)
			host, port, _ := net.SplitHostPort(forward)
			_, to, _ := net.SplitHostPort(p.address)
			conf := fmt.Sprintf(`[SERVICE]
    flush 0.2
    grace 2
[INPUT]
    name forward
    listen %s
    port %s
[OUTPUT]
    name http
    match *
    host 127.0.0.1
    port %s
    uri /streams/logs
    format %s
    retry_limit no_limits
`, host, port, to, format)
			startFluentBit(t, binary, conf, p.text)
			deadline := time.Now().Add(time.Minute)
			conn := dialUntil(t, forward, deadline)
			defer func() { _ = conn.Close() }()
			for at := 0; at < n; at += 100 {
				message := append([]byte{0x92, 0xa1, 't'}, 0xdc, 0, 100)
				for _, r := range records[at : at+100] {
					message = append(append(message, 0x92, 0xce, 0x69, 0, 0, 0), r...)
				}
				if _, err := conn.Write(message); err != nil {
					t.Fatal(err)
				}
			}
			got := numbers(t, k, "logs")
			for len(got) < n && time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond) // for a real process
				got = numbers(t, k, "logs")
			}
			wantOnce(t, got, n)
			for _, u := range k.Consume("logs").Records {
				if !json.Valid(u.Data) || strings.ContainsRune(string(u.Data), '\n') {
					t.Errorf("unexpected record; got %q; want a line of JSON", u.Data)
				}
			}
		})
	}
}

// dialUntil connects to a program that begins to listen.
func dialUntil(t *testing.T, address string, deadline time.Time) net.Conn {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // for a real process
	}
}

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"compress/flate"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// packers make each encoding; zlib and raw deflate have one name.
var packers = map[string]func(b []byte) []byte{
	"gzip": gzipped,
	"zstd": zstded,
	"zlib": func(b []byte) []byte {
		var out bytes.Buffer
		w := zlib.NewWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
		return out.Bytes()
	},
	"raw deflate": deflated,
	"snappy":      func(b []byte) []byte { return snappy.Encode(nil, b) },
	// As the OpenTelemetry collector writes it.
	"lz4": func(b []byte) []byte {
		var out bytes.Buffer
		w := lz4.NewWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
		return out.Bytes()
	},
	"lz4 of small blocks": func(b []byte) []byte {
		var out bytes.Buffer
		w := lz4.NewWriter(&out)
		_ = w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(b))))
		_, _ = w.Write(b)
		_ = w.Close()
		return out.Bytes()
	},
	"snappy framed": func(b []byte) []byte {
		var out bytes.Buffer
		w := snappy.NewBufferedWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
		return out.Bytes()
	},
}

// header is the Content-Encoding of a packer.
func header(name string) string {
	switch name {
	case "zlib", "raw deflate":
		return "deflate"
	case "snappy framed":
		return "snappy"
	}
	name, _, _ = strings.Cut(name, " ")
	return name
}

func wantKind(t *testing.T, err error, want Kind) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Errorf("unexpected error; got %v; want one of kind %v", err, want)
	}
}

func TestUnpack(t *testing.T) {
	text := ndjson(300 << 10)
	for name, pack := range packers {
		t.Run(name, func(t *testing.T) {
			var u Unpacker
			packed := pack(text)
			for range 3 { // decoders are used again
				out, err := u.Unpack(header(name), packed, Limits{})
				if err != nil || !bytes.Equal(out, text) {
					t.Fatalf("unexpected result; got %d bytes, %v; want %d bytes", len(out), err, len(text))
				}
			}
			if out, err := u.Unpack(header(name), packed, Limits{UnpackedBytes: len(text)}); err != nil || len(out) != len(text) {
				t.Errorf("unexpected result at the limit; got %d bytes, %v; want all", len(out), err)
			}
			for _, limit := range []int{1, len(text) / 2, len(text) - 1} {
				_, err := u.Unpack(header(name), packed, Limits{UnpackedBytes: limit})
				wantKind(t, err, KindTooLarge)
			}
			_, err := u.Unpack(header(name), packed, Limits{CompressedBytes: len(packed) - 1})
			wantKind(t, err, KindTooLarge)
			for _, n := range []int{1, 2, 5, 11, len(packed) / 2, len(packed) - 1} {
				_, err := u.Unpack(header(name), packed[:n], Limits{})
				wantKind(t, err, KindMalformed)
			}
			garbage := append(bytes.Clone(packed), "garbage"...)
			_, err = u.Unpack(header(name), garbage, Limits{})
			wantKind(t, err, KindMalformed)
			if out, err := u.Unpack(header(name), pack(nil), Limits{}); err != nil || len(out) != 0 {
				t.Errorf("unexpected result for nothing packed; got %d bytes, %v; want none", len(out), err)
			}
			// After all these errors the decoders still work.
			if out, err := u.Unpack(header(name), packed, Limits{}); err != nil || !bytes.Equal(out, text) {
				t.Errorf("unexpected result after errors; got %d bytes, %v; want %d bytes", len(out), err, len(text))
			}
		})
	}
}

func TestUnpackLists(t *testing.T) {
	text := []byte("some text")
	for _, tc := range []struct {
		encodings string
		data      []byte
	}{
		{"", text},
		{" , identity,", text},
		{"x-gzip", gzipped(text)},
		{"GZip", gzipped(text)},
		{"gzip, zstd", zstded(gzipped(text))},
		{"identity,zstd,gzip", gzipped(zstded(text))},
		{"deflate, gzip, snappy", snappy.Encode(nil, gzipped(deflated(text)))},
		{"gzip", append(gzipped(text[:4]), gzipped(text[4:])...)},
		{"gzip", bytes.Join([][]byte{gzipped(nil), gzipped(text), gzipped(nil)}, nil)},
		{"gzip", append(gzipped(text), make([]byte, 512)...)}, // padded
		{"gzip", append(append(gzipped(text[:4]), gzipped(text[4:])...), 0)},
		{"lz4", append(packers["lz4"](text[:4]), packers["lz4"](text[4:])...)},
		{"x-lz4, gzip", gzipped(packers["lz4"](text))},
		{"zlib", packers["zlib"](text)},
		{"x-snappy-framed", packers["snappy framed"](text)},
		{"none", text},
		{"zstd", append(zstded(text[:4]), zstded(text[4:])...)},
		{"zstd", append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, zstded(text)...)}, // a skippable frame
	} {
		t.Run(tc.encodings, func(t *testing.T) {
			var u Unpacker
			out, err := u.Unpack(tc.encodings, tc.data, Limits{})
			if err != nil || !bytes.Equal(out, text) {
				t.Errorf("unexpected result; got %q, %v; want %q", out, err, text)
			}
		})
	}
	for _, encodings := range []string{"br", "gzip, br", "gzip,gzip,gzip,gzip", "aws-chunked", "\x00\xff"} {
		_, err := new(Unpacker).Unpack(encodings, text, Limits{})
		wantKind(t, err, KindUnsupported)
	}
	for _, encodings := range []string{"gzip", "zstd", "deflate", "snappy", "gzip, zstd"} {
		if out, err := new(Unpacker).Unpack(encodings, nil, Limits{}); err != nil || len(out) != 0 {
			t.Errorf("unexpected result for an empty body in %s; got %d bytes, %v; want none", encodings, len(out), err)
		}
	}
	_, err := new(Unpacker).Unpack("", text, Limits{UnpackedBytes: 5})
	wantKind(t, err, KindTooLarge)
}

// allocated is how many bytes f allocates, memory given back included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A bomb costs what the limit says, not what it unpacks to.
func TestUnpackBombs(t *testing.T) {
	const limit = 4 << 20
	zeros := make([]byte, 4*limit)
	bombs := map[string][]byte{}
	for name, pack := range packers {
		bombs[name] = pack(zeros)
	}
	// A zstd frame of blocks that repeat one byte: four bytes for 128 KiB each.
	rle := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58}
	for range 200 {
		rle = append(rle, 0x02, 0x00, 0x10, 'a')
	}
	bombs["zstd"] = append(rle, 0x01, 0x00, 0x00)
	bombs["zstd of compressed blocks"] = packers["zstd"](zeros)
	var frames []byte
	for range 16 {
		frames = append(frames, zstded(zeros[:1<<20])...)
	}
	bombs["zstd of many frames"] = frames
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			var u Unpacker
			enc := header(strings.Split(name, " of ")[0])
			pack, ok := packers[name]
			if !ok {
				pack = packers[enc]
			}
			warm := pack([]byte("x"))
			if _, err := u.Unpack(enc, warm, Limits{}); err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
			var err error
			_, cost := unpackNeed(enc, bomb)
			n := allocated(func() { _, err = u.Unpack(enc, bomb, Limits{UnpackedBytes: limit}) })
			wantKind(t, err, KindTooLarge)
			// Growing by doubling allocates twice the limit in all, of which it holds one and
			// a half at a time. The rest is a new decoder: the race detector makes pools
			// forget.
			if n > 2*limit+uint64(cost)+(3<<20) {
				t.Errorf("unexpected allocation; got %d bytes; want at most about %d", n, 2*limit)
			}
			// The list bomb: a bomb inside a small body.
			n = allocated(func() { _, err = u.Unpack(enc+", gzip", gzipped(bomb), Limits{UnpackedBytes: limit}) })
			if err == nil || n > 5*limit {
				t.Errorf("unexpected result; got %d bytes allocated, %v; want an error and at most %d", n, err, 5*limit)
			}
		})
	}
}

// What a body declares costs nothing.
func TestUnpackIgnoresDeclaredLengths(t *testing.T) {
	for _, tc := range []struct {
		name, encoding string
		data           []byte
		want           Kind
	}{
		{"snappy of 4 GiB", "snappy", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0x00}, KindMalformed},
		{"snappy of 32 MiB", "snappy", []byte{0x80, 0x80, 0x80, 0x10, 0x00, 'a'}, KindMalformed},
		{"snappy length cut", "snappy", []byte{0x80}, KindMalformed},
		{"zstd content size of 60 MiB", "zstd", []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0xc0, 3, 1, 0, 0}, KindMalformed},
		{"zstd window of 64 MiB and nothing in it", "zstd", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x80, 1, 0, 0}, KindNone},
		{"zstd window of 128 MiB", "zstd", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x88, 1, 0, 0}, KindTooLarge},
		{"zstd reserved block", "zstd", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 7, 0, 0}, KindMalformed},
		{"zstd unknown dictionary", "zstd", []byte{0x28, 0xb5, 0x2f, 0xfd, 1, 0x58, 7, 1, 0, 0}, KindMalformed},
		{"zstd block too large", "zstd", []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 0x03, 0xff, 0xff, 'a'}, KindMalformed},
		{"zstd skippable frame cut", "zstd", []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff}, KindMalformed},
		{"lz4 of 4 GiB", "lz4", []byte{4, 0x22, 0x4d, 0x18, 0x68, 0x40, 0, 0, 0, 0, 1, 0, 0, 0, 0xd1, 0, 0, 0, 0}, KindMalformed},
		{"lz4 that skips 4 GiB", "lz4", []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff}, KindMalformed},
		{"gzip that says it is large", "gzip", append(gzipped([]byte("x"))[:21], 0xff, 0xff, 0xff, 0x03), KindMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var u Unpacker
			_, _ = u.Unpack(tc.encoding, packers[tc.encoding]([]byte("x")), Limits{})
			var err error
			n := allocated(func() { _, err = u.Unpack(tc.encoding, tc.data, Limits{}) })
			if tc.want == KindNone && err != nil {
				t.Errorf("unexpected error; got %v; want none", err)
			} else if tc.want != KindNone {
				wantKind(t, err, tc.want)
			}
			if n > 2<<20 {
				t.Errorf("unexpected allocation; got %d bytes; want less than 2 MiB", n)
			}
		})
	}
}

func TestUnpackChecksSums(t *testing.T) {
	text := ndjson(10 << 10)
	for name, at := range map[string]int{"gzip": 8, "zlib": 4, "zstd": 4, "snappy framed": 0} {
		packed := packers[name](text)
		if name == "snappy framed" {
			packed[14] ^= 1 // the sum of the first chunk
		} else {
			packed[len(packed)-at] ^= 1
		}
		_, err := new(Unpacker).Unpack(header(name), packed, Limits{})
		if wantKind(t, err, KindMalformed); err == nil {
			t.Errorf("unexpected success for %s; want an error", name)
		}
	}
}

func TestUnpackLargeWindows(t *testing.T) {
	text := ndjson(1 << 20)
	for _, window := range []int{1 << 10, 2 << 20, 8 << 20, 64 << 20, 128 << 20} {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		// Flushed, so that the frame says the window and not the content's size.
		_, _ = w.Write(text[:1000])
		_ = w.Flush()
		_, _ = w.Write(text[1000:])
		_ = w.Close()
		got, err := new(Unpacker).Unpack("zstd", out.Bytes(), Limits{UnpackedBytes: len(text)})
		if window > zstdMaxWindow {
			wantKind(t, err, KindTooLarge)
		} else if err != nil || !bytes.Equal(got, text) {
			t.Errorf("unexpected result for a window of %d; got %d bytes, %v; want %d", window, len(got), err, len(text))
		}
	}
}

func TestUnpackConcurrently(t *testing.T) {
	var u Unpacker
	var wg sync.WaitGroup
	for name, pack := range packers {
		for range 2 {
			wg.Go(func() {
				text := ndjson(50 << 10)
				packed := pack(text)
				for range 10 {
					if out, err := u.Unpack(header(name), packed, Limits{}); err != nil || !bytes.Equal(out, text) {
						t.Errorf("unexpected result for %s; got %d bytes, %v; want %d", name, len(out), err, len(text))
					}
				}
			})
		}
	}
	wg.Wait()
}

func FuzzUnpack(f *testing.F) {
	names := []string{"gzip", "deflate", "zstd", "snappy", "gzip, zstd", "zlib, deflate, snappy"}
	text := ndjson(500)
	for _, pack := range packers {
		for i := range names {
			f.Add(uint8(i), pack(text), uint16(1000))
		}
	}
	var u Unpacker
	f.Fuzz(func(t *testing.T, which uint8, data []byte, limit uint16) {
		l := Limits{UnpackedBytes: int(limit) + 1}
		out, err := u.Unpack(names[int(which)%len(names)], data, l)
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Kind == KindNone || len(out) > 0) {
			t.Fatalf("unexpected error; got %#v, %d bytes; want an *Error and nothing", err, len(out))
		}
		if len(out) > l.UnpackedBytes {
			t.Fatalf("unexpected length; got %d; want at most %d", len(out), l.UnpackedBytes)
		}
		again, err2 := u.Unpack(names[int(which)%len(names)], data, l)
		if (err == nil) != (err2 == nil) || !bytes.Equal(out, again) {
			t.Fatalf("unexpected result with a used decoder; got %q, %v; want %q, %v", again, err2, out, err)
		}
	})
}

// The standard library agrees on what gzip and deflate data mean.
func FuzzUnpackPacked(f *testing.F) {
	f.Add([]byte("some text"), uint8(3))
	f.Fuzz(func(t *testing.T, text []byte, level uint8) {
		var u Unpacker
		var gz, raw bytes.Buffer
		w, _ := gzip.NewWriterLevel(&gz, int(level%10))
		_, _ = w.Write(text)
		_ = w.Close()
		fw, _ := flate.NewWriter(&raw, int(level%10))
		_, _ = fw.Write(text)
		_ = fw.Close()
		for name, packed := range map[string][]byte{"gzip": gz.Bytes(), "deflate": raw.Bytes(), "zstd": zstded(text), "snappy": snappy.Encode(nil, text)} {
			if out, err := u.Unpack(name, packed, Limits{}); err != nil || !bytes.Equal(out, text) {
				t.Fatalf("unexpected result for %s; got %q, %v; want %q", name, out, err, text)
			}
		}
	})
}

// A window is what the sender may refer back to, and no memory of its own here.
func TestLargeWindowsCostNothing(t *testing.T) {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	text := ndjson(1 << 20)
	_, _ = w.Write(text[:1<<19])
	_ = w.Flush()
	_, _ = w.Write(text[1<<19:])
	_ = w.Close()
	var u Unpacker
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := u.Unpack("zstd", out.Bytes(), Limits{})
	runtime.ReadMemStats(&after)
	if err != nil || !bytes.Equal(got, text) {
		t.Fatalf("unexpected result; got %d bytes, %v; want %d", len(got), err, len(text))
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("unexpected memory for 1 MiB in a window of 64 MiB; got %d bytes; want at most 8 MiB", n)
	}
}

func TestUnpackedSize(t *testing.T) {
	raw := ndjson(300_000)
	var blocks bytes.Buffer
	w, err := zstd.NewWriter(&blocks)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(raw[:100_000])
	_ = w.Flush()
	_, _ = w.Write(raw[100_000:])
	_ = w.Close()
	for _, c := range []struct {
		name, encodings string
		data            []byte
		low, high       int
	}{
		{"gzip says it", "gzip", gzipped(raw), len(raw), len(raw)},
		{"zstd is bounded by its blocks", "zstd", blocks.Bytes(), len(raw), len(raw) + 2*zstdMaxBlock},
		{"a block of snappy says it", "snappy", snappy.Encode(nil, raw), len(raw), len(raw)},
		{"lz4 says it", "lz4", packers["lz4 of small blocks"](raw), len(raw), len(raw)},
		{"lz4 that says nothing", "lz4", packers["lz4"](raw), 0, 0},
		{"an impossible length of lz4", "lz4", []byte{4, 0x22, 0x4d, 0x18, 0x68, 0x40, 0, 0, 0, 0, 1, 0, 0, 0, 0xd1, 0}, 0, 0},
		{"lz4 that is cut off", "lz4", packers["lz4 of small blocks"](raw)[:13], 0, 0},
		{"deflate says nothing", "deflate", deflated(raw), 0, 0},
		{"nothing packed", "identity", raw, 0, 0},
		{"two encodings", "gzip, gzip", gzipped(gzipped(raw)), 0, 0},
		{"an unknown encoding", "br", raw, 0, 0},
		{"too short", "gzip", []byte{1, 2, 3}, 0, 0},
		{"an impossible length of gzip", "gzip", []byte{0xff, 0xff, 0xff, 0x7f}, 0, 0},
		{"an impossible length of snappy", "snappy", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, 0, 0},
		{"broken zstd", "zstd", []byte("zstd"), 0, 0},
	} {
		if got, _ := unpackNeed(c.encodings, c.data); got < c.low || got > c.high {
			t.Errorf("%s: unexpected size; got %d; want %d to %d", c.name, got, c.low, c.high)
		}
	}
}

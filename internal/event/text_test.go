// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkText writes text that is followed by other bytes and reads it back with
// encoding/json. Ranging over a Go string yields U+FFFD for each invalid byte,
// which is the rule here too.
func checkText(t *testing.T, text, behind string) {
	t.Helper()
	got, rest, err := AppendJSON(nil, cat(str(text), []byte(behind)))
	if err != nil || string(rest) != behind {
		t.Fatalf("unexpected result for %q; got error %v, rest %q", text, err, rest)
	}
	var back string
	if err := json.Unmarshal(got, &back); err != nil || back != string([]rune(text)) {
		t.Fatalf("unexpected text for %q before %q; got %q (%v)", text, behind, got, err)
	}
}

// Specials are tried at every position of texts around the word size, so that no
// lane and no tail is left out; the bytes behind the text must not matter.
func TestTextWithSpecialsAtEveryPosition(t *testing.T) {
	specials := []string{
		"\"", "\\", "\n", "\x00", "\x1f", "\x7f", " ", "!", "\u00e9", "\u20ac", "\U0001F600",
		"\x80", "\xff", "\xf0\x9f\x98", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\u0441\u0442\u0440\u043e", "\u0441\u0442\xc1\x82\u043e",
	}
	for _, special := range specials {
		for n := range 26 {
			for at := range n + 1 {
				s := strings.Repeat("x", at) + special + strings.Repeat("y", n-at)
				for _, text := range []string{s, s + special} {
					checkText(t, text, "")
					checkText(t, text, "\x00\x00\x00\x00\x00\x00\x00\x00")
					checkText(t, text, "\"\xff\"\xff\"\xff\"\xff")
				}
			}
		}
	}
}

func TestPlainTextOfEveryLength(t *testing.T) {
	for n := range 300 {
		checkText(t, strings.Repeat("z", n), "")
		checkText(t, strings.Repeat("z", n), "\"\"\"\"\"\"\"\"")
	}
}

func TestSpecialIsExactUpToTheFirst(t *testing.T) {
	for c := range 256 {
		for lane := range 8 {
			b := []byte("aaaaaaaa")
			b[lane] = byte(c)
			m := special(binary.LittleEndian.Uint64(b))
			want := c < 0x20 || c == '"' || c == '\\' || c >= 0x80
			if (m != 0) != want {
				t.Fatalf("unexpected mark for byte 0x%02x; got %v; want %v", c, m != 0, want)
			}
			if want && m&-m != 0x80<<(8*lane) {
				t.Fatalf("unexpected place of byte 0x%02x in lane %d; got %016x", c, lane, m)
			}
		}
	}
}

func TestRuneLenAgreesWithDecoder(t *testing.T) {
	var s [4]byte
	for first := 0x80; first < 0x100; first++ {
		for second := range 256 {
			for third := 0; third < 256; third += 3 {
				for _, fourth := range []byte{0x00, 0x80, 0xbf, 0xff} {
					s = [4]byte{byte(first), byte(second), byte(third), fourth}
					_, want := utf8.DecodeRune(s[:])
					if want == 1 {
						want = 0
					}
					if got := runeLen(s[:]); got != want {
						t.Fatalf("unexpected length of % x; got %d; want %d", s, got, want)
					}
				}
			}
		}
	}
}

func TestTwoByteRunesAgreesWithDecoder(t *testing.T) {
	b := []byte("\u0441\u0442\u0440\u043e")
	for first := range 256 {
		for second := range 256 {
			for lane := 0; lane < 8; lane += 2 {
				c := append([]byte(nil), b...)
				c[lane], c[lane+1] = byte(first), byte(second)
				_, size := utf8.DecodeRune(c[lane:])
				if got, want := twoByteRunes(binary.LittleEndian.Uint64(c)), size == 2; got != want {
					t.Fatalf("unexpected answer for % x; got %v; want %v", c, got, want)
				}
			}
		}
	}
}

func TestReadingStaysInsideTheInput(t *testing.T) {
	// The value ends in the middle of a larger buffer that another goroutine writes to;
	// the race detector would see a read beyond the value.
	buf := make([]byte, 64)
	n := copy(buf, fixmap(str("k"), str("abc")))
	s := mustShaper(t, Config{TimeKey: "t"})
	var b Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 {
			buf[n+i%8] = byte(i)
		}
	}()
	for range 1000 {
		if _, _, err := AppendJSON(nil, buf[:n]); err != nil {
			t.Error(err)
		}
		b.Reset()
		if _, err := b.Add(s, "", &Event{Body: buf[:n]}); err != nil {
			t.Error(err)
		}
	}
	<-done
}

func TestHasDotSeesTheTextAndNoMore(t *testing.T) {
	for n := range 20 {
		for _, behind := range []int{0, 3, 8} {
			buf := bytes.Repeat([]byte("."), n+behind)
			for i := range n {
				buf[i] = "/-\xae\x00a"[i%5]
			}
			text := buf[:n:len(buf)]
			if hasDot(text) {
				t.Errorf("unexpected dot in %q, before %d others", text, behind)
			}
			for i := range n {
				c := text[i]
				if text[i] = '.'; !hasDot(text) {
					t.Errorf("unexpected result; got no dot in %q", text)
				}
				text[i] = c
			}
		}
	}
}

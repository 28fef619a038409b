// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// DefaultTimeKeyFormat is what both Fluent Bit outputs for Kinesis use.
const DefaultTimeKeyFormat = "%Y-%m-%dT%H:%M:%S"

// timeFormat is a parsed strftime format. It is immutable.
type timeFormat []timePart

// timePart is a literal (verb 0), or a verb. digits is the number of decimals of
// a fraction of a second (verb 'N').
type timePart struct {
	verb    byte
	digits  int
	literal string
}

// compositeVerbs are short for others.
var compositeVerbs = map[byte]string{
	'F': "%Y-%m-%d",
	'T': "%H:%M:%S",
	'D': "%m/%d/%y",
	'R': "%H:%M",
	// As in C's own locale.
	'h': "%b",
	'r': "%I:%M:%S %p",
	'c': "%a %b %e %H:%M:%S %Y",
	'x': "%m/%d/%y",
	'X': "%H:%M:%S",
}

const plainVerbs = "YmdHMSjybBaAepIzZsCuwUWVGgklP"

const knownVerbs = "%Y %m %d %H %M %S %j %y %b %h %B %a %A %e %p %P %I %k %l %z %Z %s %C %u %w %U %W %V %G %g %F %T %D %R %r %c %x %X %n %t %%, " +
	"or for fractions of a second %L %3N (3 digits), %f %6N (6), %N %9N (9)"

// parseTimeFormat reads a strftime format; see Config.TimeKeyFormat.
func parseTimeFormat(s string) (timeFormat, error) {
	var f timeFormat
	literal := ""
	add := func(p timePart) {
		if literal != "" {
			f = append(f, timePart{literal: literal})
			literal = ""
		}
		f = append(f, p)
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			literal += s[i : i+1]
			continue
		}
		if i++; i == len(s) {
			return nil, errors.New("a lone % at the end; write %%")
		}
		switch c := s[i]; {
		case c == '%':
			literal += "%"
		case c == 'n':
			literal += "\n"
		case c == 't':
			literal += "\t"
		case c == 'L':
			add(timePart{verb: 'N', digits: 3})
		case c == 'f':
			add(timePart{verb: 'N', digits: 6})
		case c == 'N':
			add(timePart{verb: 'N', digits: 9})
		case (c == '3' || c == '6' || c == '9') && i+1 < len(s) && s[i+1] == 'N':
			add(timePart{verb: 'N', digits: int(c - '0')})
			i++
		case compositeVerbs[c] != "":
			inner, err := parseTimeFormat(compositeVerbs[c])
			if err != nil {
				return nil, err
			}
			for _, p := range inner {
				if p.verb == 0 {
					literal += p.literal
				} else {
					add(p)
				}
			}
		case isPlainVerb(c):
			add(timePart{verb: c})
		default:
			return nil, fmt.Errorf("unknown %q; allowed: %s", "%"+s[i:i+1], knownVerbs)
		}
	}
	if literal != "" {
		f = append(f, timePart{literal: literal})
	}
	return f, nil
}

func isPlainVerb(c byte) bool {
	for i := range len(plainVerbs) {
		if plainVerbs[i] == c {
			return true
		}
	}
	return false
}

// escaped is the same format with literals fit for the inside of a JSON string.
// What verbs write never needs escaping.
func (f timeFormat) escaped() timeFormat {
	out := make(timeFormat, len(f))
	for i, p := range f {
		p.literal = string(appendEscaped(nil, []byte(p.literal)))
		out[i] = p
	}
	return out
}

// Years outside 0..9999 are shown as the nearest of these dates.
const (
	minSeconds = -62167219200 // 0000-01-01
	maxSeconds = 253402300799 // 9999-12-31T23:59:59
)

// fraction is where a fraction of a second stands in a text.
type fraction struct{ offset, digits int }

// appendSecond appends the text for a second in UTC, with zeros where fractions
// belong; their places, as offsets into the result, are appended to at.
func (f timeFormat) appendSecond(dst []byte, sec int64, at []fraction) ([]byte, []fraction) {
	t := time.Unix(min(max(sec, minSeconds), maxSeconds), 0).UTC()
	for _, p := range f {
		switch p.verb {
		case 0:
			dst = append(dst, p.literal...)
		case 'Y':
			dst = appendPadded(dst, t.Year(), 4, '0')
		case 'm':
			dst = appendPadded(dst, int(t.Month()), 2, '0')
		case 'd':
			dst = appendPadded(dst, t.Day(), 2, '0')
		case 'e':
			dst = appendPadded(dst, t.Day(), 2, ' ')
		case 'H':
			dst = appendPadded(dst, t.Hour(), 2, '0')
		case 'I':
			dst = appendPadded(dst, (t.Hour()+11)%12+1, 2, '0')
		case 'M':
			dst = appendPadded(dst, t.Minute(), 2, '0')
		case 'S':
			dst = appendPadded(dst, t.Second(), 2, '0')
		case 'j':
			dst = appendPadded(dst, t.YearDay(), 3, '0')
		case 'y':
			dst = appendPadded(dst, t.Year()%100, 2, '0')
		case 'b':
			dst = append(dst, t.Month().String()[:3]...)
		case 'B':
			dst = append(dst, t.Month().String()...)
		case 'a':
			dst = append(dst, t.Weekday().String()[:3]...)
		case 'A':
			dst = append(dst, t.Weekday().String()...)
		case 'p':
			if t.Hour() < 12 {
				dst = append(dst, "AM"...)
			} else {
				dst = append(dst, "PM"...)
			}
		case 'P':
			dst = append(dst, "ap"[t.Hour()/12], 'm')
		case 'k':
			dst = appendPadded(dst, t.Hour(), 2, ' ')
		case 'l':
			dst = appendPadded(dst, (t.Hour()+11)%12+1, 2, ' ')
		case 'C':
			dst = appendPadded(dst, t.Year()/100, 2, '0')
		case 'u':
			dst = appendPadded(dst, (int(t.Weekday())+6)%7+1, 1, '0')
		case 'w':
			dst = appendPadded(dst, int(t.Weekday()), 1, '0')
		case 'U': // weeks begin on Sunday; what comes before the first is week 0
			dst = appendPadded(dst, (t.YearDay()+6-int(t.Weekday()))/7, 2, '0')
		case 'W': // on Monday
			dst = appendPadded(dst, (t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0')
		case 'V':
			_, week := t.ISOWeek()
			dst = appendPadded(dst, week, 2, '0')
		case 'G':
			year, _ := t.ISOWeek()
			dst = appendPadded(dst, max(year, 0), 4, '0')
		case 'g':
			year, _ := t.ISOWeek()
			dst = appendPadded(dst, max(year, 0)%100, 2, '0')
		case 'z':
			dst = append(dst, "+0000"...)
		case 'Z':
			dst = append(dst, "UTC"...)
		case 's':
			dst = strconv.AppendInt(dst, sec, 10)
		case 'N':
			at = append(at, fraction{len(dst), p.digits})
			dst = append(dst, "000000000"[:p.digits]...)
		}
	}
	return dst, at
}

// appendPadded appends n >= 0 with at least width characters.
func appendPadded(dst []byte, n, width int, pad byte) []byte {
	digits := 1
	for limit := 10; limit <= n; limit *= 10 {
		digits++
	}
	for ; digits < width; digits++ {
		dst = append(dst, pad)
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// clock remembers the text of the time key for the last second it wrote: events
// of a chunk are close together, and only fractions differ within a second.
type clock struct {
	shaper    *Shaper
	sec       int64
	text      []byte
	fractions []fraction
}

// append appends the time key and its value.
func (c *clock) append(dst []byte, s *Shaper, sec int64, nsec uint32) []byte {
	if c.shaper != s || c.sec != sec {
		c.shaper, c.sec = s, sec
		c.text = append(c.text[:0], s.timePrefix...)
		c.text, c.fractions = s.timeFormat.appendSecond(c.text, sec, c.fractions[:0])
		c.text = append(c.text, '"')
	}
	base := len(dst)
	dst = append(dst, c.text...)
	for _, f := range c.fractions {
		putFraction(dst[base+f.offset:base+f.offset+f.digits], nsec)
	}
	return dst
}

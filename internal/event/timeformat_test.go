// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// formatTime renders in one go what the clock does in two steps.
func formatTime(f timeFormat, sec int64, nsec uint32) string {
	b, at := f.appendSecond(nil, sec, nil)
	for _, x := range at {
		putFraction(b[x.offset:x.offset+x.digits], nsec)
	}
	return string(b)
}

func TestTimeFormat(t *testing.T) {
	const (
		sec  = 1772553909 // Tue 3 Mar 2026 16:05:09 UTC
		nsec = 12345678
	)
	tests := []struct{ format, want string }{
		{DefaultTimeKeyFormat, "2026-03-03T16:05:09"},
		{"%Y %m %d %H %M %S", "2026 03 03 16 05 09"},
		{"%j", "062"},
		{"%y", "26"},
		{"%b %B %a %A", "Mar March Tue Tuesday"},
		{"%e", " 3"},
		{"%I %p", "04 PM"},
		{"%z %Z", "+0000 UTC"},
		{"%s", "1772553909"},
		{"%F %T", "2026-03-03 16:05:09"},
		{"%D %R", "03/03/26 16:05"},
		{"a%nb%tc%%d", "a\nb\tc%d"},
		{"%L", "012"},
		{"%3N", "012"},
		{"%f", "012345"},
		{"%6N", "012345"},
		{"%N", "012345678"},
		{"%9N", "012345678"},
		{"%L%f%N", "012012345012345678"},
		{"%FT%T.%LZ", "2026-03-03T16:05:09.012Z"},
		{"3N %%3N", "3N %3N"},
		{"gr\u00fcn %H", "gr\u00fcn 16"},
		{"plain", "plain"},
	}
	for _, tt := range tests {
		f, err := parseTimeFormat(tt.format)
		if err != nil {
			t.Errorf("unexpected error for %q; got %v; want none", tt.format, err)
			continue
		}
		if got := formatTime(f, sec, nsec); got != tt.want {
			t.Errorf("unexpected text for %q; got %q; want %q", tt.format, got, tt.want)
		}
	}
}

func TestTimeFormatAtTheEdges(t *testing.T) {
	f, err := parseTimeFormat("%FT%T.%N %I%p %e %j")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		sec  int64
		nsec uint32
		want string
	}{
		{"zero", 0, 0, "1970-01-01T00:00:00.000000000 12AM  1 001"},
		{"noon", 43200, 1, "1970-01-01T12:00:00.000000001 12PM  1 001"},
		{"last day of a leap year", 1735689599, 999999999, "2024-12-31T23:59:59.999999999 11PM 31 366"},
		{"before 1970", -1, 500000000, "1969-12-31T23:59:59.500000000 11PM 31 365"},
		{"last event time", 4294967295, 0, "2106-02-07T06:28:15.000000000 06AM  7 038"},
		{"beyond year 9999", 1 << 62, 0, "9999-12-31T23:59:59.000000000 11PM 31 365"},
		{"before year 0", -1 << 62, 0, "0000-01-01T00:00:00.000000000 12AM  1 001"},
	}
	for _, tt := range tests {
		if got := formatTime(f, tt.sec, tt.nsec); got != tt.want {
			t.Errorf("unexpected text for %s; got %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestTimeFormatRefusesUnknownVerbs(t *testing.T) {
	for format, want := range map[string]string{
		"%Q":        `"%Q"`,
		"%Y-%5N":    `"%5"`,
		"%H:%M:%ES": `"%E"`,
		"%+":        `"%+"`,
		"%Y%":       "lone %",
		"%3":        `"%3"`,
	} {
		_, err := parseTimeFormat(format)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("unexpected error for %q; got %v; want one with %s", format, err, want)
		}
	}
}

// The verbs of C against C itself.
func TestTimeFormatAgainstDate(t *testing.T) {
	date, err := exec.LookPath("date")
	if err != nil {
		t.Skip("no date command")
	}
	const verbs = "%Y|%m|%d|%H|%M|%S|%j|%y|%b|%h|%B|%a|%A|%e|%p|%P|%I|%k|%l|%z|%Z|%s|%C|%u|%w|%U|%W|%V|%G|%g|%F|%T|%D|%R|%%|%3N|%6N|%9N|%N"
	f, err := parseTimeFormat(verbs)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var in, text strings.Builder
	for i := range 400 {
		sec := rnd.Int64N(4e9) - 2e8
		if i < 100 { // the turn of each year
			sec = time.Date(1970+i, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - int64(i%7)*12345
		}
		nsec := uint32(123456789)
		if sec < 0 {
			nsec = 0 // date counts fractions downwards
		}
		fmt.Fprintf(&in, "@%d.%09d\n", sec, nsec)
		text.WriteString(formatTime(f, sec, nsec) + "\n")
	}
	cmd := exec.Command(date, "-u", "-f", "-", "+"+verbs)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("date is not that of GNU: %v", err)
	}
	got, want := strings.Split(text.String(), "\n"), strings.Split(string(out), "\n")
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("unexpected text %d; got\n%s; want\n%s", i, got[i], want[i])
		}
	}
}

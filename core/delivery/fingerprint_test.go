// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/fieldtest"
)

type inner struct {
	Level  string
	Silent bool
}

type options struct {
	Name  string
	Count int
	Big   uint64
	Ratio float64
	On    bool
	Wait  time.Duration
	Keys  []string
	Log   inner
	call  func() // not an option
	Other string
}

func fingerprint(o *options) Fingerprint { return FingerprintOf(1, o, "call", "Other", "Log.Silent") }

// The bytes are for ever: they are on disk when the next version starts.
func TestFingerprintsAreTheSameInEveryProcess(t *testing.T) {
	o := options{Name: "a", Count: -1, Big: 2, Ratio: 0.5, On: true, Wait: time.Second, Keys: []string{"x", ""}, Log: inner{Level: "info"}}
	const want = "4fa065a925d965eef769ff529c399445"
	if got := fmt.Sprintf("%x", fingerprint(&o)); got != want {
		t.Errorf("unexpected fingerprint; got %s; want %s", got, want)
	}
	if FingerprintOf(1, o, "call", "Other", "Log.Silent") != fingerprint(&o) {
		t.Error("unexpected fingerprint of a struct; want that of a pointer to it")
	}
}

func TestEachOptionCountsButThoseThatAreNamed(t *testing.T) {
	o := options{Name: "a", Keys: []string{"x"}}
	plain := fingerprint(&o)
	fieldtest.Each(t, &o, func(path string) {
		without := path == "call" || path == "Other" || path == "Log.Silent"
		if same := fingerprint(&o) == plain; same != without {
			t.Errorf("unexpected fingerprint with another %s; got the same: %v; want %v", path, same, without)
		}
	})
	if FingerprintOf(2, &o, "call", "Other", "Log.Silent") == plain {
		t.Error("unexpected fingerprint of another version of the encoder; want another one")
	}
}

// An upgrade must not make every content unknown.
func TestAnOptionThatIsNotSetCountsAsNone(t *testing.T) {
	type older struct{ Name string }
	if FingerprintOf(1, older{Name: "a"}) != fingerprint(&options{Name: "a", call: func() {}, Other: "x"}) {
		t.Error("unexpected fingerprint; want the same as without options that are not set")
	}
}

func TestListsAreToldApart(t *testing.T) {
	seen := map[Fingerprint]string{}
	for _, o := range []options{
		{Keys: []string{"ab", "c"}}, {Keys: []string{"a", "bc"}}, {Keys: []string{"abc"}}, {Keys: []string{"abc", ""}}, {Name: "Keys"}, {Name: "abc"}, {Log: inner{Level: "abc"}},
	} {
		f := fingerprint(&o)
		if other := seen[f]; other != "" {
			t.Errorf("unexpected fingerprint of %q; it is that of %s", o.Keys, other)
		}
		seen[f] = fmt.Sprintf("%+v", o.Keys) + o.Name
	}
}

func TestAnOptionWithoutAFormHasToBeNamed(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("unexpected fingerprint of a function; want a panic")
		}
	}()
	FingerprintOf(1, &options{call: func() {}})
}

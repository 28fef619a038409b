// SPDX-License-Identifier: Apache-2.0

package core

import "testing"

// The numbers are of the form that AWS's documentation shows.
func TestOriginIsThatOfTheShard(t *testing.T) {
	const start = "49600871682957036442365024926191073437251060580128653314" // created 2019-10-28T21:12:45Z
	o := originOf(start)
	if o == nil {
		t.Fatal("unexpected origin; got none")
	}
	for _, c := range []struct {
		name, number string
		gave, before bool
	}{
		{"the first number", start, true, false},
		{"a later number", "49600871682957036442365024926191073437251060580128653999", true, false},
		{"the last number two seconds later", "49600871684027472211894494836984787806290743480119459839", true, false},
		{"the first number two seconds earlier", "49600871682243412596012044985661930344478874559641026560", true, false},
		{"a number three seconds later", "49600871684027472211894494836984787806290743480119459840", false, false},
		{"a number three seconds earlier", "49600871682243412596012044985661930344478874559641026559", false, true},
		{"a number of an earlier stream", "49590338271490256608559692538361571095921575989136588898", false, true},
		{"a number of a later stream", "49698630142999655949899443842509554952738656579378741250", false, false},
		{"a number of the first kind", "21269319989652663814458848515492872193", true, false},
		{"no number", "", true, false},
	} {
		if gave, before := o.couldHaveGiven(c.number), o.createdAfter(c.number); gave != c.gave || before != c.before {
			t.Errorf("%s: unexpected answer; got gave %v, before %v; want %v, %v", c.name, gave, before, c.gave, c.before)
		}
	}
	for _, number := range []string{"", "x", "21269319989652663814458848515492872193", "-" + start[1:], "0" + start[1:], "99" + start[2:]} {
		if got := originOf(number); got != nil {
			t.Errorf("unexpected origin of %q; got %+v; want none", number, got)
		}
		if none := originOf(number); !none.couldHaveGiven(start) || none.createdAfter(start) || none.differsFrom(o) || o.differsFrom(none) {
			t.Errorf("an unknown origin of %q must exclude nothing", number)
		}
	}
	for _, number := range []string{"49600871682957036442365024926191073437251060580128653999", "49600871684027472211894494836984787806290743480119459839"} {
		if same := originOf(number); same.differsFrom(o) || o.differsFrom(same) {
			t.Errorf("unexpected difference of %s: it is of about the same time", number)
		}
	}
	if other := originOf("49590338271490256608559692538361571095921575989136588898"); !other.differsFrom(o) || !o.differsFrom(other) {
		t.Error("unexpected agreement of two streams")
	}
}

// SPDX-License-Identifier: Apache-2.0

package nearmiss

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"ab", "abc", 1},
		{"kitten", "sitting", 3}, {"partition_key", "patition_key", 1}, {"ab", "ba", 2},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("unexpected distance of %q and %q; got %d; want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestFind(t *testing.T) {
	known := []string{"stream", "region", "regions", "endpoint"}
	for _, c := range []struct {
		name string
		most int
		want string
	}{
		{"regio", 2, "region"}, {"regions", 0, "regions"}, {"steam", 1, "stream"}, {"workers", 2, ""}, {"stream", 1, "stream"},
	} {
		got, ok := Find(c.name, known, c.most)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("unexpected name for %q within %d; got %q, %v; want %q", c.name, c.most, got, ok, c.want)
		}
	}
}

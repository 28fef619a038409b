// SPDX-License-Identifier: Apache-2.0

package option

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "abd", 1},
		{"abc", "ab", 1},
		{"ab", "abc", 1},
		{"kitten", "sitting", 3},
		{"partition_key", "patition_key", 1},
		{"ab", "ba", 2},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("unexpected distance of %q and %q; got %d; want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"stream", "region", "regions", "endpoint"}
	for _, c := range []struct {
		name string
		most int
		want string
	}{
		{"regio", 2, "region"}, {"regions", 0, "regions"}, {"steam", 1, "stream"}, {"workers", 2, ""}, {"stream", 1, "stream"},
	} {
		if got := nearest(c.name, known, c.most); got != c.want {
			t.Errorf("unexpected name for %q within %d; got %q; want %q", c.name, c.most, got, c.want)
		}
	}
}

// Hints come from the tables: a name that is an option elsewhere is one to name, and none that
// does not exist.
func TestSuggestAsksTheTables(t *testing.T) {
	all := []*Spec{
		{Name: "server.listen", Hints: []string{"port", "tls_port: TLS is on the same port"}},
		{Name: "route.compression"},
		{Name: "producer.aggregation"},
	}
	group := []string{"aggregation", "rate_limit"}
	flags := []string{"server.listen", "route.compression", "producer.aggregation"}
	for _, c := range []struct {
		name  string
		known []string
		want  string
	}{
		{"producer.compression", group, "did you mean compression below route?"},
		{"producer.compression", flags, "did you mean route.compression?"},
		{"producer.agregation", group, "did you mean aggregation?"},
		{"server.port", group, "did you mean server.listen?"},
		{"TLS-Port", group, "TLS is on the same port"},
		{"producer.zzzzzzz", group, "known: aggregation, rate_limit"},
		{"producer.zzzzzzz", make([]string, mostNamed+1), "a command lists all"},
	} {
		if got := Suggest(c.name, c.known, all, "a command lists all"); got != c.want {
			t.Errorf("unexpected hint for %q; got %q; want %q", c.name, got, c.want)
		}
	}
}

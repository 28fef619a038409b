// SPDX-License-Identifier: Apache-2.0

package arn

import "testing"

func TestStream(t *testing.T) {
	for _, c := range []struct {
		s, name, region string
		ok              bool
	}{
		{"logs", "logs", "", true},
		{"a b", "a b", "", false},
		{"", "", "", false},
		{"arn:aws:kinesis:eu-west-1:1:stream/a.b-c_d", "a.b-c_d", "eu-west-1", true},
		{"arn:aws:kinesis:eu-west-1:1:stream/a b", "a b", "", false},
		{"arn:aws:kinesis:eu-west-1:1:stream/", "", "", false},
		{"arn:aws:kinesis:eu-west-1::stream/a", "", "", false},
		{"arn:aws:kinesis::1:stream/a", "", "", false},
		{"arn:aws:firehose:eu-west-1:1:stream/a", "", "", false},
		{"arn:aws:kinesis:eu-west-1:1:deliverystream/a", "", "", false},
		{"arn:aws:kinesis:eu-west-1:1:stream/a/consumer/x:1", "a/consumer/x:1", "", false},
		{"arn:aws:kinesis", "", "", false},
		{"arn:", "", "", false},
	} {
		if name, region, ok := Stream(c.s); name != c.name || region != c.region || ok != c.ok {
			t.Errorf("unexpected parts of %q; got %q, %q, %v; want %q, %q, %v", c.s, name, region, ok, c.name, c.region, c.ok)
		}
	}
	if n := testing.AllocsPerRun(10, func() { Stream("a b") }); n != 0 {
		t.Errorf("unexpected allocations; got %v; want none", n)
	}
}

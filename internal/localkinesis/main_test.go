// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"
	"testing"
)

func TestStreams(t *testing.T) {
	for text, want := range map[string]int{"logs:4": 1, "a:1,b:500": 2, "logs": -1, "a:0": -1, ":1": -1, "a:x,b:1": -1, "": -1} {
		opts, err := parse(text)
		if got := len(opts); (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("unexpected streams of %q; got %d (%v); want %d", text, got, err, want)
		}
	}
}

func TestServesUntilToldToEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(ctx, "127.0.0.1:0", "logs:2", "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	if err := serve(ctx, "127.0.0.1:none", "logs:2", "eu-west-1"); err == nil || !strings.Contains(err.Error(), "127.0.0.1:none") {
		t.Errorf("unexpected error of an impossible address; got %v", err)
	}
}

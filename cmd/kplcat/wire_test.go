// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestReadingIsTheSameInEachFormat(t *testing.T) {
	for _, c := range []struct {
		format, want string // of GetRecords
		opts         []kinesistest.Option
	}{
		{"auto", "application/x-amz-cbor-1.1", nil},
		{"cbor", "application/x-amz-cbor-1.1", nil},
		{"json", "application/x-amz-json-1.1", nil},
		{"auto", "application/x-amz-json-1.1", []kinesistest.Option{kinesistest.WithJSONOnly("UnknownOperationException")}},
	} {
		s := kinesistest.New(append(c.opts, kinesistest.WithStream(stream, 2))...)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		put(t, s, 0, "k", []byte("\x00text\xff"))
		var mu sync.Mutex
		used := map[string]bool{}
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Match: func(call *kinesistest.Call) bool {
			mu.Lock()
			defer mu.Unlock()
			used[call.Header("Content-Type")] = true
			return false
		}})
		r := kplcat(t, "", "--endpoint", s.URL(), "--from", "trim-horizon", "--wire-format", c.format, "--data", "base64", stream).ok(t)
		if !strings.Contains(r.stdout, `"data_base64":"AHRleHT/"`) || !strings.Contains(r.stdout, `"arrival":"20`) {
			t.Errorf("%s: unexpected output; got %s", c.format, r.stdout)
		}
		if len(used) != 1 || !used[c.want] {
			t.Errorf("%s: unexpected format; got %v; want %s", c.format, used, c.want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"testing"
)

// FuzzBlobs checks that every input gives lines of valid JSON and an exit code, in every
// form of input and output.
func FuzzBlobs(f *testing.F) {
	agg := frame([]byte("\x0a\x01a\x0a\x01b\x1a\x05\x08\x00\x1a\x01x\x1a\x05\x08\x01\x1a\x01y"))
	b64 := base64.StdEncoding.EncodeToString(agg)
	for i, s := range []string{string(agg), b64, "f3899ac2", `{"Records":[{"Data":"` + b64 + `","PartitionKey":"\ud800"}]}`, "[1,{}]", "text \x1f\x8b\x08", "\x78\x9c", `[{"kinesis":{"data":"AA=="},"eventID":"x:1"}]`} {
		f.Add([]byte(s), uint8(i), uint8(i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, input, data, decompress uint8) {
		args := []string{
			"-", "--input", inputForms[int(input)%len(inputForms)], "--data", dataForms[int(data)%len(dataForms)],
			"--decompress", decompressModes[int(decompress)%len(decompressModes)],
		}
		var out bytes.Buffer
		if code := run(context.Background(), args, bytes.NewReader(in), &out, io.Discard); code == exitUsage {
			t.Errorf("unexpected exit code of %q; got %d", args, code)
		}
		for l := range bytes.Lines(out.Bytes()) {
			if !json.Valid(l) {
				t.Errorf("unexpected line of %q; got %q; want JSON", args, l)
			}
		}
	})
}

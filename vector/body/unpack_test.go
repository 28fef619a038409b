// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/gzip"
)

func TestUnpackGzip(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte("hello"))
	w.Close()
	var u Unpacker
	out, err := u.Unpack(nil, "gzip", b.Bytes(), Limits{})
	if err != nil || string(out) != "hello" {
		t.Errorf("unexpected result; got %q, %v", out, err)
	}
}

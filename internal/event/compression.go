// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"sync"
)

// Compression is what Config.Compression does to each payload, for those who do not use
// a Shaper. It is safe for concurrent use.
type Compression struct {
	how  compression
	work sync.Pool // of *compressor
}

// NewCompression takes what Config.Compression and Config.CompressionLevel take: none,
// gzip, zlib, zstd or snappy, and a level, 0 for the default. It returns nil for none.
func NewCompression(name string, level int) (*Compression, error) {
	var errs []error
	how := parseCompression(name, level, func(option, value string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %q: %w", option, value, err))
		}
	})
	if err := errors.Join(errs...); err != nil || how.codec == codecNone {
		return nil, err
	}
	return &Compression{how: how, work: sync.Pool{New: func() any { return new(compressor) }}}, nil
}

// Append appends the compressed form of payload, a complete stream of the format. Equal
// payloads give equal bytes.
func (c *Compression) Append(dst, payload []byte) []byte {
	z := c.work.Get().(*compressor)
	defer c.work.Put(z)
	return z.append(&c.how, dst, payload)
}

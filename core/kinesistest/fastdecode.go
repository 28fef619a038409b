// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// decodePutRecords parses the body of PutRecords. It exists because the payload
// passes through encoding/json at a small fraction of the speed of base64, and the
// server is the other half of benchmarks. It knows the members of the
// operation; on anything else, or on bad JSON, it returns false and
// encoding/json decides. Blobs go into slab as far as it has room.
func decodePutRecords(body []byte, in *kinesis.PutRecordsInput, slab []byte) bool {
	p := jsonReader{b: body, data: slab[:0]}
	ok := p.object(func(key string) bool {
		switch key {
		case "Records":
			if in.Records != nil {
				return false // twice
			}
			in.Records = make([]types.PutRecordsRequestEntry, 0, bytes.Count(body, []byte(`"PartitionKey"`)))
			return p.array(func() bool {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{})
				return p.entry(&in.Records[len(in.Records)-1])
			})
		case "StreamName":
			return p.text(&in.StreamName)
		case "StreamARN":
			return p.text(&in.StreamARN)
		case "StreamId":
			return p.text(&in.StreamId)
		case "DryRun":
			return p.null()
		}
		return false
	})
	p.space()
	return ok && p.i == len(p.b)
}

func (p *jsonReader) entry(e *types.PutRecordsRequestEntry) bool {
	return p.object(func(key string) bool {
		switch key {
		case "Data":
			return p.blob(&e.Data)
		case "PartitionKey":
			return p.text(&e.PartitionKey)
		case "ExplicitHashKey":
			return p.text(&e.ExplicitHashKey)
		}
		return false
	})
}

// jsonReader reads the JSON that SDKs write.
type jsonReader struct {
	b    []byte
	i    int
	data []byte // all decoded blobs; if it moves, earlier ones keep the old memory
}

func (p *jsonReader) space() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\n' || p.b[p.i] == '\t' || p.b[p.i] == '\r') {
		p.i++
	}
}

// take consumes c if it comes next.
func (p *jsonReader) take(c byte) bool {
	p.space()
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

func (p *jsonReader) object(member func(key string) bool) bool {
	if !p.take('{') {
		return false
	}
	if p.take('}') {
		return true
	}
	for {
		key, escaped, ok := p.raw()
		if !ok || escaped || !p.take(':') || !member(aliasString(key)) {
			return false
		}
		if !p.take(',') {
			return p.take('}')
		}
	}
}

func (p *jsonReader) array(element func() bool) bool {
	if !p.take('[') {
		return false
	}
	if p.take(']') {
		return true
	}
	for {
		if !element() {
			return false
		}
		if !p.take(',') {
			return p.take(']')
		}
	}
}

// raw reads a string and returns what is between the quotes.
func (p *jsonReader) raw() (s []byte, escaped, ok bool) {
	if !p.take('"') {
		return nil, false, false
	}
	start := p.i
	for {
		n := bytes.IndexByte(p.b[p.i:], '"')
		if n < 0 {
			return nil, false, false
		}
		end := p.i + n
		p.i = end + 1
		// A quote after an odd number of backslashes is part of the string.
		slashes := 0
		for end-slashes > start && p.b[end-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			s = p.b[start:end]
			return s, bytes.IndexByte(s, '\\') >= 0, true
		}
	}
}

// null consumes a null if it comes next.
func (p *jsonReader) null() bool {
	p.space()
	if !bytes.HasPrefix(p.b[p.i:], []byte("null")) {
		return false
	}
	p.i += len("null")
	return true
}

func (p *jsonReader) text(dst **string) bool {
	if p.null() {
		*dst = nil
		return true
	}
	start := p.i
	s, _, ok := p.raw()
	if !ok {
		return false
	}
	for _, c := range s {
		if c < ' ' || c == '\\' || c >= 0x80 {
			// Escapes and the check of UTF-8 are left to the library.
			var t string
			if json.Unmarshal(p.b[start:p.i], &t) != nil {
				return false
			}
			*dst = &t
			return true
		}
	}
	t := string(s)
	*dst = &t
	return true
}

func (p *jsonReader) blob(dst *[]byte) bool {
	if p.null() {
		*dst = nil
		return true
	}
	s, escaped, ok := p.raw()
	if !ok || escaped || bytes.IndexByte(s, '\n') >= 0 || bytes.IndexByte(s, '\r') >= 0 {
		return false
	}
	at := len(p.data)
	b, err := base64.StdEncoding.AppendDecode(p.data, s)
	if err != nil {
		return false
	}
	p.data = b
	*dst = b[at:len(b):len(b)]
	return true
}

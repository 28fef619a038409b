// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
)

// jsonWriter writes the SDK's outputs in AWS JSON: it is handed their members
// by their own Serialize methods.
type jsonWriter struct {
	buf   []byte
	stack []bool // per open container: is it an object
	comma bool
}

var _ smithy.ShapeSerializer = (*jsonWriter)(nil)

func (j *jsonWriter) reset() { j.buf, j.stack, j.comma = j.buf[:0], j.stack[:0], false }

// prefix writes what comes before a value: a comma and, in an object, the name.
func (j *jsonWriter) prefix(s *smithy.Schema) {
	if j.comma {
		j.buf = append(j.buf, ',')
	}
	j.comma = true
	if n := len(j.stack); n > 0 && j.stack[n-1] {
		j.buf = append(j.buf, '"')
		j.buf = append(j.buf, s.MemberName()...) // names of the model need no escaping
		j.buf = append(j.buf, '"', ':')
	}
}

func (j *jsonWriter) open(s *smithy.Schema, c byte) {
	j.prefix(s)
	j.buf = append(j.buf, c)
	j.stack = append(j.stack, c == '{')
	j.comma = false
}

func (j *jsonWriter) close(c byte) {
	j.buf = append(j.buf, c)
	j.stack = j.stack[:len(j.stack)-1]
	j.comma = true
}

// Bytes returns what was written; it is valid until the writer is used again.
func (j *jsonWriter) Bytes() []byte { return j.buf }

// WriteStruct opens an object.
func (j *jsonWriter) WriteStruct(s *smithy.Schema) { j.open(s, '{') }

// CloseStruct closes it.
func (j *jsonWriter) CloseStruct() { j.close('}') }

// WriteList opens an array.
func (j *jsonWriter) WriteList(s *smithy.Schema) { j.open(s, '[') }

// CloseList closes it.
func (j *jsonWriter) CloseList() { j.close(']') }

// WriteString writes a string.
func (j *jsonWriter) WriteString(s *smithy.Schema, v string) {
	j.prefix(s)
	for i := range len(v) {
		if c := v[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			b, err := json.Marshal(v)
			if err != nil {
				panic(err) // a string always marshals
			}
			j.buf = append(j.buf, b...)
			return
		}
	}
	j.buf = append(j.buf, '"')
	j.buf = append(j.buf, v...)
	j.buf = append(j.buf, '"')
}

// WriteBlob writes bytes in base64.
func (j *jsonWriter) WriteBlob(s *smithy.Schema, v []byte) {
	j.prefix(s)
	j.buf = append(j.buf, '"')
	j.buf = base64.StdEncoding.AppendEncode(j.buf, v)
	j.buf = append(j.buf, '"')
}

// WriteTime writes seconds since 1970 with milliseconds.
func (j *jsonWriter) WriteTime(s *smithy.Schema, v time.Time) {
	j.prefix(s)
	j.buf = strconv.AppendFloat(j.buf, float64(v.UnixMilli())/1000, 'f', 3, 64)
}

// WriteBool writes a boolean.
func (j *jsonWriter) WriteBool(s *smithy.Schema, v bool) {
	j.prefix(s)
	j.buf = strconv.AppendBool(j.buf, v)
}

// WriteInt64 writes a number.
func (j *jsonWriter) WriteInt64(s *smithy.Schema, v int64) {
	j.prefix(s)
	j.buf = strconv.AppendInt(j.buf, v, 10)
}

// WriteInt32 writes a number.
func (j *jsonWriter) WriteInt32(s *smithy.Schema, v int32) { j.WriteInt64(s, int64(v)) }

// The rest of the interface does not occur in the outputs of this API.

// WriteInt8 is not used.
func (j *jsonWriter) WriteInt8(*smithy.Schema, int8) { unused() }

// WriteInt16 is not used.
func (j *jsonWriter) WriteInt16(*smithy.Schema, int16) { unused() }

// WriteFloat32 is not used.
func (j *jsonWriter) WriteFloat32(*smithy.Schema, float32) { unused() }

// WriteFloat64 is not used.
func (j *jsonWriter) WriteFloat64(*smithy.Schema, float64) { unused() }

// WriteBigInt is not used.
func (j *jsonWriter) WriteBigInt(*smithy.Schema, *big.Int) { unused() }

// WriteBigFloat is not used.
func (j *jsonWriter) WriteBigFloat(*smithy.Schema, *big.Float) { unused() }

// WriteUnion is not used.
func (j *jsonWriter) WriteUnion(_, _ *smithy.Schema) { unused() }

// CloseUnion is not used.
func (j *jsonWriter) CloseUnion() { unused() }

// WriteDocument is not used.
func (j *jsonWriter) WriteDocument(*smithy.Schema, document.Value) { unused() }

// WriteNil is not used.
func (j *jsonWriter) WriteNil(*smithy.Schema) { unused() }

// WriteMap is not used.
func (j *jsonWriter) WriteMap(*smithy.Schema) { unused() }

// WriteKey is not used.
func (j *jsonWriter) WriteKey(*smithy.Schema, string) { unused() }

// CloseMap is not used.
func (j *jsonWriter) CloseMap() { unused() }

func unused() { panic("kinesistest: an output has a member of a kind that is not implemented") }

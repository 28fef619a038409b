// SPDX-License-Identifier: Apache-2.0

package cbor

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
)

// Writer takes the inputs and outputs of the SDK, which describe themselves to it. The zero
// value is ready. Containers do not begin with a length, because it is not known then.
type Writer struct {
	buf    []byte
	member []bool // for each open container: its items have names
}

var _ smithy.ShapeSerializer = (*Writer)(nil)

// Reset empties the writer and keeps its memory.
func (w *Writer) Reset() { w.buf, w.member = w.buf[:0], w.member[:0] }

// Bytes returns what was written; it is valid until the writer is used again.
func (w *Writer) Bytes() []byte { return w.buf }

func (w *Writer) name(s *smithy.Schema) {
	if n := len(w.member); n > 0 && w.member[n-1] {
		w.buf = AppendText(w.buf, s.MemberName())
	}
}

func (w *Writer) open(s *smithy.Schema, major byte, named bool) {
	w.name(s)
	w.buf = append(w.buf, major|indefinite)
	w.member = append(w.member, named)
}

func (w *Writer) close() {
	w.buf = append(w.buf, breakMark)
	w.member = w.member[:len(w.member)-1]
}

// WriteStruct opens a map.
func (w *Writer) WriteStruct(s *smithy.Schema) { w.open(s, majorMap, true) }

// CloseStruct closes it.
func (w *Writer) CloseStruct() { w.close() }

// WriteList opens an array.
func (w *Writer) WriteList(s *smithy.Schema) { w.open(s, majorArray, false) }

// CloseList closes it.
func (w *Writer) CloseList() { w.close() }

// WriteMap opens a map whose keys WriteKey writes.
func (w *Writer) WriteMap(s *smithy.Schema) { w.open(s, majorMap, false) }

// WriteKey writes a key.
func (w *Writer) WriteKey(_ *smithy.Schema, key string) { w.buf = AppendText(w.buf, key) }

// CloseMap closes it.
func (w *Writer) CloseMap() { w.close() }

// WriteString writes a text.
func (w *Writer) WriteString(s *smithy.Schema, v string) {
	w.name(s)
	w.buf = AppendText(w.buf, v)
}

// WriteBlob writes bytes.
func (w *Writer) WriteBlob(s *smithy.Schema, v []byte) {
	w.name(s)
	w.buf = AppendBytes(w.buf, v)
}

// WriteTime writes a date.
func (w *Writer) WriteTime(s *smithy.Schema, v time.Time) {
	w.name(s)
	w.buf = AppendTime(w.buf, v)
}

// WriteBool writes a boolean.
func (w *Writer) WriteBool(s *smithy.Schema, v bool) {
	w.name(s)
	w.buf = AppendBool(w.buf, v)
}

// WriteInt64 writes an integer.
func (w *Writer) WriteInt64(s *smithy.Schema, v int64) {
	w.name(s)
	w.buf = AppendInt(w.buf, v)
}

// WriteInt32 writes an integer.
func (w *Writer) WriteInt32(s *smithy.Schema, v int32) { w.WriteInt64(s, int64(v)) }

// WriteInt16 writes an integer.
func (w *Writer) WriteInt16(s *smithy.Schema, v int16) { w.WriteInt64(s, int64(v)) }

// WriteInt8 writes an integer.
func (w *Writer) WriteInt8(s *smithy.Schema, v int8) { w.WriteInt64(s, int64(v)) }

// WriteFloat64 writes a number.
func (w *Writer) WriteFloat64(s *smithy.Schema, v float64) {
	w.name(s)
	w.buf = AppendFloat(w.buf, v)
}

// WriteFloat32 writes a number.
func (w *Writer) WriteFloat32(s *smithy.Schema, v float32) { w.WriteFloat64(s, float64(v)) }

// WriteNil writes a null.
func (w *Writer) WriteNil(s *smithy.Schema) {
	w.name(s)
	w.buf = AppendNull(w.buf)
}

// The rest of the interface does not occur in the API of Kinesis.

// WriteBigInt is not used.
func (w *Writer) WriteBigInt(*smithy.Schema, *big.Int) { unused() }

// WriteBigFloat is not used.
func (w *Writer) WriteBigFloat(*smithy.Schema, *big.Float) { unused() }

// WriteUnion is not used.
func (w *Writer) WriteUnion(_, _ *smithy.Schema) { unused() }

// CloseUnion is not used.
func (w *Writer) CloseUnion() { unused() }

// WriteDocument is not used.
func (w *Writer) WriteDocument(*smithy.Schema, document.Value) { unused() }

func unused() { panic("cbor: a shape has a member of a kind that is not implemented") }

// ShapeReader is what the SDK's types read themselves from.
type ShapeReader struct {
	r     Reader
	stack []container
	// Seconds tells that a date was in seconds, which is not how Kinesis has it.
	Seconds bool
}

type container struct {
	schema *smithy.Schema
	left   Length
}

var _ smithy.ShapeDeserializer = (*ShapeReader)(nil)

// NewShapeReader returns a reader of b.
func NewShapeReader(b []byte) *ShapeReader { return &ShapeReader{r: NewReader(b)} }

// End returns the first error, or that there is more to read.
func (d *ShapeReader) End() error { return d.r.End() }

func (d *ShapeReader) push(s *smithy.Schema, l Length) error {
	if len(d.stack) >= maxDepth {
		d.r.fail("more than %d levels", maxDepth)
	}
	d.stack = append(d.stack, container{s, l})
	return d.r.err
}

// more counts an item of the innermost container, or leaves it.
func (d *ShapeReader) more() bool {
	top := &d.stack[len(d.stack)-1]
	if d.r.More(&top.left) {
		return true
	}
	d.stack = d.stack[:len(d.stack)-1]
	return false
}

// ReadStruct reads the head of a map.
func (d *ShapeReader) ReadStruct(s *smithy.Schema) error { return d.push(s, d.r.Map()) }

// ReadStructMember reads the name of the next member that the schema has and that is not
// null. At the end it returns nil.
func (d *ShapeReader) ReadStructMember() (*smithy.Schema, error) {
	schema := d.stack[len(d.stack)-1].schema
	for d.more() {
		name := d.r.Text()
		if d.r.err != nil {
			break
		}
		if d.r.Null() {
			continue
		}
		if m := member(schema, name); m != nil {
			return m, nil
		}
		d.r.Skip()
	}
	return nil, d.r.err
}

// member finds a member. Errors have "message", also where the schema has "Message", and
// the other way round.
func member(s *smithy.Schema, name []byte) *smithy.Schema {
	if m := s.Member(string(name)); m != nil {
		return m
	}
	switch string(name) {
	case "Message":
		return s.Member("message")
	case "message":
		return s.Member("Message")
	}
	return nil
}

// ReadList reads the head of an array.
func (d *ShapeReader) ReadList(s *smithy.Schema) error { return d.push(s, d.r.Array()) }

// ReadListItem reports whether there is another item. An error comes with true, since
// false ends the list for callers, whatever the error.
func (d *ShapeReader) ReadListItem(*smithy.Schema) (bool, error) {
	more := d.more()
	return more || d.r.err != nil, d.r.err
}

// ReadMap reads the head of a map whose keys ReadMapKey reads.
func (d *ShapeReader) ReadMap(s *smithy.Schema) error { return d.push(s, d.r.Map()) }

// ReadMapKey reads a key, like ReadListItem.
func (d *ShapeReader) ReadMapKey(*smithy.Schema) (string, bool, error) {
	if !d.more() {
		return "", d.r.err != nil, d.r.err
	}
	return string(d.r.Text()), true, d.r.err
}

// ReadNil reads a null if it comes next.
func (d *ShapeReader) ReadNil(*smithy.Schema) (bool, error) { return d.r.Null(), d.r.err }

// ReadString reads a text.
func (d *ShapeReader) ReadString(_ *smithy.Schema, v *string) error {
	*v = string(d.r.Text())
	return d.r.err
}

// ReadBlob reads bytes. kinesis-local has base64 here, as in JSON.
func (d *ShapeReader) ReadBlob(_ *smithy.Schema, v *[]byte) error {
	if d.r.Next() == Text {
		b, err := base64.StdEncoding.AppendDecode([]byte{}, d.r.Text())
		if d.r.err == nil && err != nil {
			d.r.fail("a blob is a text that is not base64")
		}
		*v = b
		return d.r.err
	}
	*v = append([]byte{}, d.r.Bytes()...)
	return d.r.err
}

// ReadTime reads a date.
func (d *ShapeReader) ReadTime(_ *smithy.Schema, v *time.Time) error {
	t, seconds := d.r.Time()
	*v, d.Seconds = t, d.Seconds || seconds
	return d.r.err
}

// ReadBool reads a boolean.
func (d *ShapeReader) ReadBool(_ *smithy.Schema, v *bool) error {
	*v = d.r.Bool()
	return d.r.err
}

func readInt[T int8 | int16 | int32 | int64](d *ShapeReader, v *T) error {
	n := d.r.Int()
	if *v = T(n); int64(*v) != n {
		d.r.fail("integer %d is out of range", n)
	}
	return d.r.err
}

// ReadInt8 reads an integer.
func (d *ShapeReader) ReadInt8(_ *smithy.Schema, v *int8) error { return readInt(d, v) }

// ReadInt16 reads an integer.
func (d *ShapeReader) ReadInt16(_ *smithy.Schema, v *int16) error { return readInt(d, v) }

// ReadInt32 reads an integer.
func (d *ShapeReader) ReadInt32(_ *smithy.Schema, v *int32) error { return readInt(d, v) }

// ReadInt64 reads an integer.
func (d *ShapeReader) ReadInt64(_ *smithy.Schema, v *int64) error { return readInt(d, v) }

// ReadFloat32 reads a number.
func (d *ShapeReader) ReadFloat32(_ *smithy.Schema, v *float32) error {
	f := d.r.Float()
	if *v = float32(f); math.IsInf(float64(*v), 0) && !math.IsInf(f, 0) {
		d.r.fail("number %v is out of range", f)
	}
	return d.r.err
}

// ReadFloat64 reads a number.
func (d *ShapeReader) ReadFloat64(_ *smithy.Schema, v *float64) error {
	*v = d.r.Float()
	return d.r.err
}

var errUnused = errors.New("cbor: a shape has a member of a kind that is not implemented")

// ReadBigInt is not used.
func (d *ShapeReader) ReadBigInt(*smithy.Schema, *big.Int) error { return errUnused }

// ReadBigFloat is not used.
func (d *ShapeReader) ReadBigFloat(*smithy.Schema, *big.Float) error { return errUnused }

// ReadUnion is not used.
func (d *ShapeReader) ReadUnion(*smithy.Schema) (*smithy.Schema, error) { return nil, errUnused }

// ReadDocument is not used.
func (d *ShapeReader) ReadDocument(*smithy.Schema, *document.Value) error { return errUnused }

// Problem is what an answer says that is an error: its code, which may begin with a
// namespace, and its message.
func Problem(b []byte) (code, message string, err error) {
	if len(b) == 0 {
		return "", "", nil
	}
	r := NewReader(b)
	for l := r.Map(); r.More(&l); {
		name := string(r.Text())
		if r.Next() != Text {
			r.Skip()
			continue
		}
		value := string(r.Text())
		switch name {
		case "__type", "code":
			if code == "" || name == "__type" {
				code = value
			}
		case "message", "Message":
			message = value
		}
	}
	if err := r.End(); err != nil {
		return "", "", fmt.Errorf("cannot read an error: %w", err)
	}
	return code, message, nil
}

// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// protocol writes requests and reads answers in the format that the negotiation chooses.
// PutRecords requests it writes itself: the SDK's serializer grows a new buffer for each
// request and lets each blob take a detour, which was the largest part of a producer's work
// behind the aggregation. Events (SubscribeToShard) are the SDK's.
type protocol struct {
	smithyhttp.ClientProtocol // of the SDK
	wires                     *negotiation
}

// body is the memory of one request. It is used again when the call has returned
// and the transport has closed the request's body, whichever comes last: until
// then the transport may read it, even after the answer is here.
type body struct {
	mu      sync.Mutex // guards users
	users   int
	buf     []byte
	records int // in the request
}

var bodies = sync.Pool{New: func() any { return new(body) }}

// maxIdleBody is the largest memory that is kept for reuse. Requests are 1 MiB by
// default, and a third longer as base64.
const maxIdleBody = 4 << 20

func (b *body) use() {
	b.mu.Lock()
	b.users++
	b.mu.Unlock()
}

func (b *body) release() {
	b.mu.Lock()
	b.users--
	last := b.users == 0
	b.mu.Unlock()
	if last && cap(b.buf) <= maxIdleBody {
		bodies.Put(b)
	}
}

type bodyKey struct{}

// withBody gives the request made with the context memory to use. release is called
// when the call has returned.
func withBody(ctx context.Context) (_ context.Context, release func()) {
	b := bodies.Get().(*body)
	b.use()
	return context.WithValue(ctx, bodyKey{}, b), b.release
}

// recordsOf is how many records the request has that is made with the context, 0 if that is unknown.
func recordsOf(ctx context.Context) int {
	if b, _ := ctx.Value(bodyKey{}).(*body); b != nil {
		return b.records
	}
	return 0
}

// bodyReader gives the memory back when the transport closes it. Reads and the Close
// of the reader below exclude each other, and none is served afterwards.
type bodyReader struct {
	io.ReadCloser
	close func()
}

// Close implements io.Closer.
func (r bodyReader) Close() error {
	err := r.ReadCloser.Close()
	r.close()
	return err
}

// holdBody keeps the memory of a request until its body is closed.
func holdBody(r *http.Request) io.ReadCloser {
	b, _ := r.Context().Value(bodyKey{}).(*body)
	if b == nil {
		return struct{ io.ReadCloser }{r.Body}
	}
	b.use()
	return bodyReader{r.Body, sync.OnceFunc(b.release)}
}

// SerializeRequest implements the SDK's ClientProtocol.
func (p protocol) SerializeRequest(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	if schema.IsInputEventStream() || schema.IsOutputEventStream() {
		return p.ClientProtocol.SerializeRequest(ctx, schema, in, req)
	}
	w := p.wires.choose(ctx)
	put, ok := in.(*kinesis.PutRecordsInput)
	b, _ := ctx.Value(bodyKey{}).(*body)
	if !ok || b == nil || put.DryRun != nil || put.StreamId != nil {
		return w.serialize(ctx, schema, in, req)
	}
	if size := w.putRecordsSize(put); cap(b.buf) < size {
		b.buf = make([]byte, 0, size+size/8)
	}
	b.buf, b.records = w.appendPutRecords(b.buf[:0], put), len(put.Records)
	return writeRequest(req, "PutRecords", w.contentType(), b.buf)
}

// DeserializeResponse implements the SDK's ClientProtocol. An answer is in the format that
// its Content-Type names, whatever the request was in.
func (p protocol) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, registry *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	attemptOf(ctx).saw(resp.StatusCode)
	w := p.wires.json
	if isCBOR(resp.Header) && !schema.IsOutputEventStream() {
		w = p.wires.cbor
	}
	return w.deserialize(ctx, schema, registry, resp, out)
}

// putRecordsSize is what a request takes if a record's data takes encoded bytes.
func putRecordsSize(in *kinesis.PutRecordsInput, encoded func(int) int) int {
	size := 256
	for i := range in.Records {
		r := &in.Records[i]
		size += 64 + encoded(len(r.Data))
		if r.PartitionKey != nil {
			size += len(*r.PartitionKey)
		}
		if r.ExplicitHashKey != nil {
			size += len(*r.ExplicitHashKey)
		}
	}
	return size
}

// appendPutRecords appends the request as JSON.
func appendPutRecords(buf []byte, in *kinesis.PutRecordsInput) []byte {
	buf = append(buf, `{"Records":[`...)
	for i := range in.Records {
		r := &in.Records[i]
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, `{"Data":"`...)
		buf = base64.StdEncoding.AppendEncode(buf, r.Data)
		buf = append(buf, '"')
		buf = appendMember(buf, `,"ExplicitHashKey":`, r.ExplicitHashKey)
		buf = appendMember(buf, `,"PartitionKey":`, r.PartitionKey)
		buf = append(buf, '}')
	}
	buf = append(buf, ']')
	buf = appendMember(buf, `,"StreamARN":`, in.StreamARN)
	buf = appendMember(buf, `,"StreamName":`, in.StreamName)
	return append(buf, '}')
}

func appendMember(buf []byte, name string, value *string) []byte {
	if value == nil {
		return buf
	}
	return appendString(append(buf, name...), *value)
}

// appendString appends a JSON string. Bytes that are not UTF-8 become U+FFFD, as
// the SDK has them.
func appendString(buf []byte, s string) []byte {
	buf = append(buf, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			buf = append(buf, '\\', c)
		case c < 0x20:
			buf = append(buf, `\u00`...)
			if c < 0x10 {
				buf = append(buf, '0')
			}
			buf = strconv.AppendUint(buf, uint64(c), 16)
		case c < utf8.RuneSelf:
			buf = append(buf, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			buf = utf8.AppendRune(buf, r)
			i += n
			continue
		}
		i++
	}
	return append(buf, '"')
}

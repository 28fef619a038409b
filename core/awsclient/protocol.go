// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"bytes"
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

// protocol writes PutRecords requests; the SDK does everything else: other
// operations, answers, errors, endpoints, signatures. Its own serializer grows a new
// buffer for each request and lets each blob take a detour, which was the largest
// part of a producer's work behind the aggregation.
type protocol struct {
	smithyhttp.ClientProtocol // of the SDK
}

// body is the memory of one request. It is used again when the call has returned
// and the transport has closed the request's body, whichever comes last: until
// then the transport may read it, even after the answer is here.
type body struct {
	mu    sync.Mutex // guards users
	users int
	buf   []byte
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
	put, ok := in.(*kinesis.PutRecordsInput)
	b, _ := ctx.Value(bodyKey{}).(*body)
	if !ok || b == nil || put.DryRun != nil || put.StreamId != nil {
		return p.ClientProtocol.SerializeRequest(ctx, schema, in, req)
	}
	req.Method = http.MethodPost
	if req.URL.Path == "" {
		req.URL.Path = "/"
	}
	req.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	b.buf = appendPutRecords(b.buf[:0], put)
	with, err := req.SetStream(bytes.NewReader(b.buf))
	if err != nil {
		return err
	}
	*req = *with
	return nil
}

// appendPutRecords appends the request as JSON.
func appendPutRecords(buf []byte, in *kinesis.PutRecordsInput) []byte {
	size := 64
	for i := range in.Records {
		r := &in.Records[i]
		size += 64 + base64.StdEncoding.EncodedLen(len(r.Data))
		if r.PartitionKey != nil {
			size += len(*r.PartitionKey)
		}
		if r.ExplicitHashKey != nil {
			size += len(*r.ExplicitHashKey)
		}
	}
	if cap(buf) < size {
		buf = make([]byte, 0, size+size/8)
	}
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

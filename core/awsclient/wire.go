// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/outkpl/outkpl/core/internal/answers"
	"github.com/outkpl/outkpl/internal/cbor"
)

// wire is a format of requests and answers. Method, path and X-Amz-Target are the same in
// all.
type wire interface {
	contentType() string
	// putRecordsSize is at least what appendPutRecords appends, but for what it escapes.
	putRecordsSize(in *kinesis.PutRecordsInput) int
	appendPutRecords(buf []byte, in *kinesis.PutRecordsInput) []byte
	// serialize writes the request of any other operation.
	serialize(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error
	deserialize(ctx context.Context, schema *smithy.OperationSchema, registry *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error
}

// jsonWire is AWS JSON 1.1, the SDK's own but for PutRecords requests.
type jsonWire struct{ sdk smithyhttp.ClientProtocol }

func (jsonWire) contentType() string { return "application/x-amz-json-1.1" }

func (jsonWire) putRecordsSize(in *kinesis.PutRecordsInput) int {
	return putRecordsSize(in, base64.StdEncoding.EncodedLen)
}

func (jsonWire) appendPutRecords(buf []byte, in *kinesis.PutRecordsInput) []byte {
	return appendPutRecords(buf, in)
}

func (w jsonWire) serialize(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	return w.sdk.SerializeRequest(ctx, schema, in, req)
}

func (w jsonWire) deserialize(ctx context.Context, schema *smithy.OperationSchema, registry *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	return w.sdk.DeserializeResponse(ctx, schema, registry, resp, out)
}

// cborWire is what the SDKs for Java have with Kinesis. It has no base64, which makes
// requests of logs a quarter smaller.
type cborWire struct{}

func (cborWire) contentType() string { return cbor.ContentType }

func (cborWire) putRecordsSize(in *kinesis.PutRecordsInput) int {
	return putRecordsSize(in, func(n int) int { return n })
}

func (cborWire) appendPutRecords(buf []byte, in *kinesis.PutRecordsInput) []byte {
	members := 1
	if in.StreamARN != nil {
		members++
	}
	if in.StreamName != nil {
		members++
	}
	buf = cbor.AppendMap(buf, members)
	buf = cbor.AppendText(buf, "Records")
	buf = cbor.AppendArray(buf, len(in.Records))
	for i := range in.Records {
		r := &in.Records[i]
		members := 1
		if r.ExplicitHashKey != nil {
			members++
		}
		if r.PartitionKey != nil {
			members++
		}
		buf = cbor.AppendMap(buf, members)
		buf = cbor.AppendBytes(append(buf, names.data...), r.Data)
		buf = appendText(buf, names.explicitHashKey, r.ExplicitHashKey)
		buf = appendText(buf, names.partitionKey, r.PartitionKey)
	}
	buf = appendText(buf, names.streamARN, in.StreamARN)
	return appendText(buf, names.streamName, in.StreamName)
}

// names are the names of members as they are on the wire. Each record has three.
var names = struct{ data, explicitHashKey, partitionKey, streamARN, streamName string }{
	nameOf("Data"), nameOf("ExplicitHashKey"), nameOf("PartitionKey"), nameOf("StreamARN"), nameOf("StreamName"),
}

func nameOf(member string) string { return string(cbor.AppendText(nil, member)) }

func appendText(buf []byte, name string, value *string) []byte {
	if value == nil {
		return buf
	}
	return cbor.AppendText(append(buf, name...), *value)
}

func (w cborWire) serialize(_ context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	var body cbor.Writer
	in.Serialize(&body)
	return writeRequest(req, schema.ID().Name, w.contentType(), body.Bytes())
}

// writeRequest gives a request what the protocols of the API have in common.
func writeRequest(req *smithyhttp.Request, operation, contentType string, body []byte) error {
	req.Method = http.MethodPost
	if req.URL.Path == "" {
		req.URL.Path = "/"
	}
	req.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	req.Header.Set("Content-Type", contentType)
	with, err := req.SetStream(bytes.NewReader(body))
	if err != nil {
		return err
	}
	*req = *with
	return nil
}

// answerBuffers have the memory of answers while they are read.
var answerBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxIdleAnswer is the largest memory that is kept for reuse. An answer to 500 records
// has 60 kB.
const maxIdleAnswer = 1 << 20

func (w cborWire) deserialize(ctx context.Context, _ *smithy.OperationSchema, registry *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	buf := answerBuffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxIdleAnswer {
			answerBuffers.Put(buf)
		}
	}()
	buf.Reset()
	if n := resp.ContentLength; n > 0 && n < maxIdleAnswer {
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(resp.Body); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return readError(ctx, registry, resp, buf.Bytes())
	}
	x := attemptOf(ctx)
	if buf.Len() == 0 {
		x.answered(false)
		return nil
	}
	if put, ok := out.(*kinesis.PutRecordsOutput); ok {
		m := answers.Take(ctx)
		err := readPutRecords(buf.Bytes(), recordsOf(ctx), m, put)
		if m != nil {
			m.Return()
		}
		if err != nil {
			return &smithy.DeserializationError{Err: err}
		}
		return nil
	}
	r := cbor.NewShapeReader(buf.Bytes())
	err := out.Deserialize(r)
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	x.answered(r.Seconds)
	return nil
}

// readPutRecords reads the answer to a request of so many records. It allocates for the texts, and if
// m is nil for the entries and for what points to their texts.
func readPutRecords(b []byte, records int, m *answers.Memory, out *kinesis.PutRecordsOutput) error {
	r := cbor.NewReader(b)
	for l := r.Map(); r.More(&l); {
		name := r.Text()
		if r.Null() {
			continue
		}
		switch string(name) {
		case "Records":
			readEntries(&r, records, m, out)
		case "FailedRecordCount":
			n := int32(r.Int())
			out.FailedRecordCount = &n
		case "EncryptionType":
			out.EncryptionType = types.EncryptionType(r.Text())
		default:
			r.Skip()
		}
	}
	return r.End()
}

// readEntries reads the entries of an answer. Their number is often not told before the end, so that
// that of the request says how much memory they need.
func readEntries(r *cbor.Reader, records int, m *answers.Memory, out *kinesis.PutRecordsOutput) {
	l := r.Array()
	if n := l.Len(); n > 0 {
		records = n
	}
	if m == nil {
		m = &answers.Memory{}
	}
	m.Clear() // if an answer was read that did not end
	out.Records = slices.Grow(m.Entries, records)
	var repeating [256]*string // by the end of the text
	texts := newTexts(records, m.Texts)
	defer func() { m.Entries, m.Texts = out.Records, texts.headers }()
	shardID := func(text []byte) *string {
		known := &repeating[placeOf(text)]
		if *known == nil || **known != string(text) {
			*known = texts.keep(text)
		}
		return *known
	}
	var form entryForm
	for r.More(&l) {
		var e types.PutRecordsResultEntry
		if number, id, ok := form.take(r); ok {
			e.ShardId, e.SequenceNumber = shardID(id), texts.keep(number)
			out.Records = append(out.Records, e)
			continue
		}
		if r.Null() {
			out.Records = append(out.Records, e)
			continue
		}
		entry := r.Rest()
		var number, id place
		for l := r.Map(); r.More(&l); {
			var member **string
			shared := true
			switch string(r.Text()) {
			case "SequenceNumber":
				member, shared = &e.SequenceNumber, false
			case "ShardId":
				member = &e.ShardId
			case "ErrorCode":
				member = &e.ErrorCode
			case "ErrorMessage":
				member = &e.ErrorMessage
			}
			switch {
			case r.Null():
			case member == nil:
				r.Skip()
			case shared:
				text := r.Text()
				if *member = shardID(text); member == &e.ShardId {
					id = placeIn(entry[:len(entry)-len(r.Rest())], text)
				}
			default:
				text := r.Text()
				*member = texts.keep(text)
				number = placeIn(entry[:len(entry)-len(r.Rest())], text)
			}
		}
		out.Records = append(out.Records, e)
		form.learn(entry[:len(entry)-len(r.Rest())], number, id)
	}
}

// placeOf tells the ids of shards apart by their last digits.
func placeOf(text []byte) uint8 {
	if len(text) < 2 {
		return 0
	}
	return text[len(text)-2]<<4 ^ text[len(text)-1]
}

// texts are the texts of an answer, in few pieces of memory. Callers keep sequence numbers for as long
// as a batch, so the rest of the answer is not kept with them.
type texts struct {
	bytes   strings.Builder
	headers []string
}

// What an answer has beside sequence numbers: the ids of some shards, or an error.
const (
	sequenceNumberBytes = 56
	otherTexts          = 16
	otherTextBytes      = 512
)

func newTexts(records int, headers []string) *texts {
	t := &texts{headers: slices.Grow(headers, records+otherTexts)}
	t.bytes.Grow(records*sequenceNumberBytes + otherTextBytes)
	return t
}

// keep returns a copy of a text.
func (t *texts) keep(text []byte) *string {
	if t.bytes.Cap()-t.bytes.Len() < len(text) { // what is in there stays where it is
		t.bytes.Reset()
		t.bytes.Grow(max(len(text), 4096))
	}
	start := t.bytes.Len()
	t.bytes.Write(text)
	if len(t.headers) == cap(t.headers) {
		t.headers = make([]string, 0, 64)
	}
	t.headers = append(t.headers, t.bytes.String()[start:])
	return &t.headers[len(t.headers)-1]
}

const codeUnknown = "UnknownError" // of an error without a code, as in the SDK

// readError reads an answer that is an error, into the SDK's types.
func readError(ctx context.Context, registry *smithy.TypeRegistry, resp *smithyhttp.Response, body []byte) error {
	code, message, err := cbor.Problem(body)
	if err != nil {
		return &smithy.DeserializationError{Err: err, Snapshot: body[:min(len(body), 1024)]}
	}
	attemptOf(ctx).answered(false)
	if code == "" {
		code = resp.Header.Get("X-Amzn-ErrorType")
	}
	// com.amazonaws.kinesis.v20131202#ResourceNotFoundException:http://...
	code, _, _ = strings.Cut(code[strings.LastIndexByte(code, '#')+1:], ":")
	if code = strings.TrimSpace(code); code == "" {
		code = codeUnknown
	}
	known, ok := registry.DeserializableError(code)
	if !ok {
		if message == "" {
			message = codeUnknown
		}
		return &smithy.GenericAPIError{Code: code, Message: message}
	}
	if len(body) > 0 {
		if err := known.Deserialize(cbor.NewShapeReader(bytes.Clone(body))); err != nil {
			return &smithy.DeserializationError{Err: err}
		}
	}
	return known
}

// isCBOR tells whether an answer is in CBOR. Everything else is read as JSON: servers,
// and what stands between, name it in many ways, or not at all.
func isCBOR(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (media == cbor.ContentType || media == "application/cbor")
}

// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	library "github.com/aws/smithy-go/encoding/cbor"

	"github.com/outkpl/outkpl/internal/cbor"
)

// post sends a body and returns what comes back.
func post(t *testing.T, s *Server, operation, contentType string, body []byte) (status int, got string, answer []byte) {
	t.Helper()
	req := must[*http.Request](t)(http.NewRequest(http.MethodPost, s.URL()+"/", bytes.NewReader(body)))
	req.Header.Set("X-Amz-Target", targetPrefix+operation)
	req.Header.Set("Content-Type", contentType)
	res := must[*http.Response](t)(s.httpClient().Do(req)) //nolint:bodyclose // closed in the next line; must hides it from the linter
	defer func() { noError(t, res.Body.Close()) }()
	return res.StatusCode, res.Header.Get("Content-Type"), must[[]byte](t)(io.ReadAll(res.Body))
}

func TestHTTPSpeaksCBOR(t *testing.T) {
	s := startServer(t, WithStream("demo", 1))
	body := library.Encode(library.Map{"StreamName": library.String("demo"), "Records": library.List{
		library.Map{"Data": library.Slice("\x00x"), "PartitionKey": library.String("k"), "Other": &library.Nil{}},
		library.Map{"Data": library.Slice(""), "PartitionKey": library.String("k"), "ExplicitHashKey": library.String("1")},
	}})
	status, kind, answer := post(t, s, "PutRecords", cbor.ContentType, body)
	v, err := library.Decode(answer)
	m, _ := v.(library.Map)
	records, _ := m["Records"].(library.List)
	if status != 200 || kind != cbor.ContentType || err != nil || len(records) != 2 || m["FailedRecordCount"] != library.Uint(0) {
		t.Errorf("unexpected answer; got %d, %s, %v, %v", status, kind, m, err)
	}
	clear(body) // what is stored is not part of it
	var got []string
	for _, r := range s.Records("demo") {
		got = append(got, string(r.Data))
	}
	if !reflect.DeepEqual(got, []string{"\x00x", ""}) {
		t.Errorf("unexpected records; got %q", got)
	}

	status, kind, answer = post(t, s, "DescribeStreamSummary", cbor.ContentType, library.Encode(library.Map{"StreamName": library.String("demo")}))
	v, err = library.Decode(answer)
	summary, _ := v.(library.Map)["StreamDescriptionSummary"].(library.Map)
	created, _ := summary["StreamCreationTimestamp"].(*library.Tag)
	if status != 200 || kind != cbor.ContentType || err != nil || created == nil || created.ID != 1 {
		t.Fatalf("unexpected answer; got %d, %s, %v, %v", status, kind, v, err)
	}
	if ms, _ := created.Value.(library.Uint); time.Since(time.UnixMilli(int64(ms))).Abs() > time.Hour {
		t.Errorf("unexpected date; got %v; want milliseconds", created.Value)
	}

	for _, c := range []struct {
		operation string
		body      []byte
		want      string
	}{
		{"ListShards", library.Encode(library.Map{"StreamName": library.String("none")}), "ResourceNotFoundException"},
		{"ListShards", library.Encode(library.Map{"StreamName": library.Uint(7)}), "SerializationException"},
		{"ListShards", []byte(`{"StreamName":"demo"}`), "SerializationException"},
		{"PutRecords", []byte(`{"StreamName":"demo"}`), "SerializationException"},
		{"PutRecords", library.Encode(library.Map{"StreamName": library.String("\xff")}), "SerializationException"},
		{"ListShards", library.Encode(library.Map{"StreamName": library.String("demo"), "StreamCreationTimestamp": &library.Tag{ID: 1, Value: library.Uint(1795961260)}}), "SerializationException"},
		{"Nonsense", library.Encode(library.Map{}), "UnknownOperationException"},
	} {
		status, kind, answer := post(t, s, c.operation, cbor.ContentType, c.body)
		code, _, err := cbor.Problem(answer)
		if status != 400 || kind != cbor.ContentType || code != c.want || err != nil {
			t.Errorf("unexpected answer to %s with %x; got %d, %s, %q, %v; want %s", c.operation, c.body, status, kind, code, err, c.want)
		}
	}
}

func TestServerThatKnowsJSONOnly(t *testing.T) {
	body := library.Encode(library.Map{"StreamName": library.String("demo")})
	for code, status := range map[string]int{"": 415, "SerializationException": 400, "UnknownOperationException": 400} {
		s := startServer(t, WithStream("demo", 1), WithJSONOnly(code))
		gotStatus, kind, answer := post(t, s, "ListShards", cbor.ContentType, body)
		var got struct {
			Type string `json:"__type"`
		}
		if code != "" {
			noError(t, json.Unmarshal(answer, &got))
			equal(t, "format", kind, contentJSON)
		}
		equal(t, "status", gotStatus, status)
		equal(t, "code", got.Type, code)
		equal(t, "calls", s.Calls("ListShards"), 0)
		must[*kinesis.ListShardsOutput](t)(s.SDK().ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("demo")}))
	}
}

// TestDecodingInCBORAgreesWithJSON compares the decoder of PutRecords with the other way.
func TestDecodingInCBORAgreesWithJSON(t *testing.T) {
	var w cbor.Writer
	(&kinesis.PutRecordsInput{StreamName: aws.String("s"), StreamARN: aws.String("a"), StreamId: aws.String("i"), Records: []types.PutRecordsRequestEntry{
		{Data: []byte("\x00\xff"), PartitionKey: aws.String("\u00e9\"")}, {Data: []byte{}, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("1")}, {},
	}}).Serialize(&w)
	for _, body := range [][]byte{w.Bytes(), []byte("\xa0"), []byte("\xa2\x67Records\x81\xa2\x64Data\xf6\x61x\x81\x01\x66DryRun\xf5")} {
		var fast, slow kinesis.PutRecordsInput
		noError(t, decodePutRecordsCBOR(body, &fast, make([]byte, 0, len(body))))
		r := cbor.NewReader(body)
		text := appendJSON(nil, &r)
		noError(t, r.End())
		noError(t, json.Unmarshal(text, &slow))
		if !reflect.DeepEqual(fast, slow) {
			t.Errorf("unexpected input for %x; got %s; want %s", body, dump(fast), dump(slow))
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/internal/cbor"
)

// decodeCBOR parses a body in CBOR. Only PutRecords is worth a decoder of its own; what else
// there is becomes JSON first.
func decodeCBOR(r *request, body []byte) *failure {
	if r.op != opPutRecords {
		in := cbor.NewReader(body)
		text := appendJSON(nil, &in)
		if err := in.End(); err != nil {
			return fail("SerializationException", "cannot parse the request: %s", err)
		}
		return decodeInput(r, text)
	}
	in := &kinesis.PutRecordsInput{}
	r.in, r.owned = in, true
	if cap(r.slab) < len(body) {
		r.slab = make([]byte, 0, len(body))
	}
	if err := decodePutRecordsCBOR(body, in, r.slab); err != nil {
		return fail("SerializationException", "cannot parse the request: %s", err)
	}
	return nil
}

// decodePutRecordsCBOR parses the body of PutRecords. Blobs go into slab.
func decodePutRecordsCBOR(body []byte, in *kinesis.PutRecordsInput, slab []byte) error {
	r := cbor.NewReader(body)
	for l := r.Map(); r.More(&l); {
		switch name := r.Text(); {
		case r.Null():
		case string(name) == "Records":
			records := r.Array()
			in.Records = make([]types.PutRecordsRequestEntry, 0, records.Len())
			for r.More(&records) {
				var e types.PutRecordsRequestEntry
				for l := r.Map(); r.More(&l); {
					switch name := r.Text(); {
					case r.Null():
					case string(name) == "Data":
						at := len(slab)
						slab = append(slab, r.Bytes()...)
						e.Data = slab[at:len(slab):len(slab)]
					case string(name) == "PartitionKey":
						e.PartitionKey = validText(&r)
					case string(name) == "ExplicitHashKey":
						e.ExplicitHashKey = validText(&r)
					default:
						r.Skip()
					}
				}
				in.Records = append(in.Records, e)
			}
		case string(name) == "StreamName":
			in.StreamName = validText(&r)
		case string(name) == "StreamARN":
			in.StreamARN = validText(&r)
		case string(name) == "StreamId":
			in.StreamId = validText(&r)
		case string(name) == "DryRun":
			b := r.Bool()
			in.DryRun = &b
		default:
			r.Skip()
		}
	}
	return r.End()
}

// validText reads a text, which has to be UTF-8.
func validText(r *cbor.Reader) *string {
	s := string(r.Text())
	if !utf8.ValidString(s) {
		r.Fail("a text is not UTF-8")
	}
	return &s
}

// appendJSON reads an item and appends what it is in AWS JSON.
func appendJSON(buf []byte, r *cbor.Reader) []byte {
	switch r.Next() {
	case cbor.Map:
		buf = append(buf, '{')
		for l := r.Map(); r.More(&l); {
			buf = append(appendJSON(buf, r), ':')
			buf = append(appendJSON(buf, r), ',')
		}
		return closeJSON(buf, '}')
	case cbor.Array:
		buf = append(buf, '[')
		for l := r.Array(); r.More(&l); {
			buf = append(appendJSON(buf, r), ',')
		}
		return closeJSON(buf, ']')
	case cbor.Text:
		s, err := json.Marshal(*validText(r))
		if err != nil {
			panic(err) // a string always marshals
		}
		return append(buf, s...)
	case cbor.Bytes:
		buf = append(buf, '"')
		buf = base64.StdEncoding.AppendEncode(buf, r.Bytes())
		return append(buf, '"')
	case cbor.Int:
		return strconv.AppendInt(buf, r.Int(), 10)
	case cbor.Date:
		t, seconds := r.Time()
		if seconds {
			r.Fail("a date is in seconds")
		}
		return strconv.AppendFloat(buf, float64(t.UnixMilli())/1000, 'f', 3, 64)
	case cbor.Bool:
		return strconv.AppendBool(buf, r.Bool())
	case cbor.Null:
		r.Null()
		return append(buf, "null"...)
	case cbor.Float, cbor.None:
		r.Fail("the request has an item that no operation takes")
	}
	return buf
}

// closeJSON replaces the last comma.
func closeJSON(buf []byte, end byte) []byte {
	if buf[len(buf)-1] == ',' {
		buf = buf[:len(buf)-1]
	}
	return append(buf, end)
}

// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
)

// SetClock replaces the clock of a client's negotiation.
func SetClock(c core.Client, now func() time.Time) { c.(*client).wires.now = now }

// AppendCBOR appends a request of PutRecords in CBOR.
func AppendCBOR(buf []byte, in *kinesis.PutRecordsInput) []byte {
	return cborWire{}.appendPutRecords(buf, in)
}

// AppendJSON appends one in JSON.
var AppendJSON = appendPutRecords

// ReadPutRecords reads an answer to PutRecords in CBOR.
func ReadPutRecords(b []byte, records int, out *kinesis.PutRecordsOutput) error {
	return readPutRecords(b, records, nil, out)
}

// ReadPutRecordsInto reads one into memory that is used again.
var ReadPutRecordsInto = readPutRecords

// ProxyOf is the proxy that a request goes through.
func ProxyOf(c Config, r *http.Request) (*url.URL, error) {
	return newHTTPClient(&c).GetTransport().Proxy(r)
}

// GatherWrites has a transport give the kernel several records of TLS at once.
var GatherWrites = gatherWrites

// SPDX-License-Identifier: Apache-2.0

package cloudwatch_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awscw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics/cloudwatch"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
)

// TestRealClientSends: a request of the SDK's own client arrives, compressed, in
// the protocol that the SDK speaks at present (CBOR), and a fault that passes is
// retried.
func TestRealClientSends(t *testing.T) {
	type request struct{ path, protocol, auth, body string }
	var mu sync.Mutex
	var got []request
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
			var z *gzip.Reader
			if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
				body, err = io.ReadAll(z)
			}
		}
		if err != nil {
			t.Errorf("cannot read the request: %s", err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, request{r.URL.Path, r.Header.Get("Smithy-Protocol"), r.Header.Get("Authorization"), string(body)})
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		w.Header().Set("Content-Type", "application/cbor")
		if n++; n == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		w.Write([]byte{0xa0}) // an empty map
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := awscw.New(awscw.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(server.URL), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
	})
	s, err := cloudwatch.New(client, cloudwatch.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		s.Observe([]core.Observation{metricstest.Obs(core.MetricBufferingTime, "logs", fmt.Sprintf("shardId-%012d", i), "", 1, float64(i))})
	}
	closeSink(t, s)
	if len(got) != 2 {
		t.Fatalf("unexpected number of requests; got %d; want a failure and a retry", len(got))
	}
	for _, r := range got {
		if !strings.HasSuffix(r.path, "/operation/PutMetricData") || r.protocol != "rpc-v2-cbor" || !strings.HasPrefix(r.auth, "AWS4-HMAC-SHA256 Credential=AKID/") {
			t.Errorf("unexpected request: %s, %s, %s", r.path, r.protocol, r.auth)
		}
		for _, want := range []string{"KinesisProducerLibrary", "BufferingTime", "StreamName", "shardId-000000000299", "Milliseconds"} {
			if !strings.Contains(r.body, want) {
				t.Errorf("%q is not in the request", want)
			}
		}
	}
}

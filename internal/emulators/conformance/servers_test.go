// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

const (
	region      = "us-east-1"
	reshardTime = 150 * time.Millisecond
	maxWait     = time.Minute
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// capabilities are what of the suite makes sense for a server.
type capabilities struct {
	// records is the size of the larger batches.
	records int
	// large says that records of nearly 1 MiB are possible.
	large bool
	// readsClockTwice says that the list of shards may tell another second of a shard's
	// creation than its sequence numbers.
	readsClockTwice bool
	// buffers says that data comes back as objects of JavaScript.
	buffers bool
	// format is how the producer makes its calls, used what comes of it.
	format, used awsclient.WireFormat
}

// target is a server under test.
type target struct {
	capabilities
	endpoint string
	// api is the plain SDK, for what the producer does not do.
	api *kinesis.Client
}

// formats are how calls are made: as it is set, and what comes of auto.
func formats(auto awsclient.WireFormat) map[awsclient.WireFormat]awsclient.WireFormat {
	return map[awsclient.WireFormat]awsclient.WireFormat{
		awsclient.WireJSON: awsclient.WireJSON, awsclient.WireCBOR: awsclient.WireCBOR, awsclient.WireAuto: auto,
	}
}

func TestProducerAgainstKinesistest(t *testing.T) {
	for format, used := range formats(awsclient.WireCBOR) {
		t.Run(string(format), func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithRegion(region), kinesistest.WithReshardTime(reshardTime))
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			runSuite(t, s.URL(), capabilities{records: 5000, large: true, format: format, used: used})
		})
	}
}

// kinesalite has dates in seconds in CBOR, which is why auto uses JSON. It stores what comes
// in CBOR as objects of JavaScript, which no client can read; see buffersAsBlobs. It also cuts long answers off.
func TestProducerAgainstKinesalite(t *testing.T) {
	for format, used := range formats(awsclient.WireJSON) {
		t.Run(string(format), func(t *testing.T) {
			s := emulatorstest.Start(t, emulators.Kinesalite, emulators.Config{ReshardTime: reshardTime})
			runSuite(t, s.URL(), capabilities{records: 5000, large: true, buffers: format == awsclient.WireCBOR, format: format, used: used})
		})
	}
}

func TestProducerAgainstKinesisLocal(t *testing.T) {
	for format, used := range formats(awsclient.WireCBOR) {
		t.Run(string(format), func(t *testing.T) {
			s := emulatorstest.Start(t, emulators.KinesisLocal, emulators.Config{ReshardTime: reshardTime})
			runSuite(t, s.URL(), capabilities{records: 300, readsClockTwice: true, format: format, used: used})
		})
	}
}

// buffersAsBlobs makes base64 of the objects that kinesalite makes of bytes.
type buffersAsBlobs struct{ http.RoundTripper }

// A regular expression would take a minute for the tens of MB of a test, with the race detector.
var bufferStart, bufferEnd = []byte(`{"type":"Buffer","data":[`), []byte(`]}`)

// RoundTrip implements http.RoundTripper.
func (b buffersAsBlobs) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	if body, err = blobs(body); err != nil {
		return nil, err
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}

func blobs(body []byte) (converted []byte, err error) {
	for {
		before, rest, found := bytes.Cut(body, bufferStart)
		converted = append(converted, before...)
		if !found {
			return converted, nil
		}
		numbers, after, _ := bytes.Cut(rest, bufferEnd)
		var data []byte
		for len(numbers) > 0 {
			var n []byte
			n, numbers, _ = bytes.Cut(numbers, []byte(","))
			v, err := strconv.ParseUint(string(n), 10, 8)
			if err != nil {
				return nil, err
			}
			data = append(data, byte(v))
		}
		converted = fmt.Appendf(converted, "%q", base64.StdEncoding.EncodeToString(data))
		body = after
	}
}

// newTarget makes the SDK client of a server and sets the credentials of the
// producer's, which come from the environment as in real life.
func newTarget(t *testing.T, endpoint string, c capabilities) *target {
	t.Helper()
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CA_BUNDLE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
	} {
		t.Setenv(k, v)
	}
	// Servers close connections that are idle for seconds, and nothing here tries again.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if c.buffers {
		client.Transport = buffersAsBlobs{client.Transport}
	}
	t.Cleanup(client.CloseIdleConnections)
	return &target{capabilities: c, endpoint: endpoint, api: kinesis.New(kinesis.Options{
		Region: region, BaseEndpoint: &endpoint, Retryer: aws.NopRetryer{}, HTTPClient: kinesistest.HideWriterTo(client),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})}
}

// newProducer makes a producer as a program would. The rate limit is out of the
// way, since no server here enforces one.
func (g *target) newProducer(t *testing.T, opts ...core.Option) *core.Producer {
	t.Helper()
	client, err := awsclient.New(t.Context(), awsclient.Config{Region: region, Endpoint: g.endpoint, WireFormat: g.format})
	if err != nil {
		t.Fatal(err)
	}
	if g.buffers {
		opts = append(opts, core.WithCollectionMaxCount(100)) // it cuts answers in CBOR off after 16 KiB
	}
	p, err := core.New(client, append([]core.Option{core.WithRateLimit(100_000), core.WithRequestTimeout(30 * time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), maxWait)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("unexpected error of Close: %v", err)
		}
		if c, ok := client.(interface{ WireFormat() awsclient.WireFormat }); p.Stats().KinesisRecords > 0 && (!ok || c.WireFormat() != g.used) {
			t.Errorf("unexpected format of calls with %q; got %q; want %q", g.format, c.WireFormat(), g.used)
		}
	})
	return p
}

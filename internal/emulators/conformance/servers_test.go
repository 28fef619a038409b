// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"net/http"
	"path/filepath"
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
}

// target is a server under test.
type target struct {
	capabilities
	endpoint string
	// api is the plain SDK, for what the producer does not do.
	api *kinesis.Client
}

func TestProducerAgainstKinesistest(t *testing.T) {
	s := kinesistest.New(kinesistest.WithRegion(region), kinesistest.WithReshardTime(reshardTime))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	runSuite(t, s.URL(), capabilities{records: 5000, large: true})
}

func TestProducerAgainstKinesalite(t *testing.T) {
	s := emulatorstest.Start(t, emulators.Kinesalite, emulators.Config{ReshardTime: reshardTime})
	runSuite(t, s.URL(), capabilities{records: 5000, large: true})
}

func TestProducerAgainstKinesisLocal(t *testing.T) {
	s := emulatorstest.Start(t, emulators.KinesisLocal, emulators.Config{ReshardTime: reshardTime})
	runSuite(t, s.URL(), capabilities{records: 300, readsClockTwice: true})
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
	client, err := awsclient.New(t.Context(), awsclient.Config{Region: region, Endpoint: g.endpoint})
	if err != nil {
		t.Fatal(err)
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
	})
	return p
}

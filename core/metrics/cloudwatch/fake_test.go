// SPDX-License-Identifier: Apache-2.0

package cloudwatch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"go.uber.org/goleak"

	awscw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/outkpl/outkpl/core/metrics/cloudwatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shard0 = "shardId-000000000000"

// fake is CloudWatch: it checks what it gets and remembers it.
type fake struct {
	mu    sync.Mutex
	calls []*awscw.PutMetricDataInput
	bad   []error
	// answer may refuse a request, by its number.
	answer func(n int, in *awscw.PutMetricDataInput) error
	hold   bool // requests wait for their contexts
	n      int
}

func (f *fake) PutMetricData(ctx context.Context, in *awscw.PutMetricDataInput, _ ...func(*awscw.Options)) (*awscw.PutMetricDataOutput, error) {
	f.mu.Lock()
	n := f.n
	f.n++
	answer, hold := f.answer, f.hold
	f.mu.Unlock()
	if hold {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if answer != nil {
		if err := answer(n, in); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, in)
	f.bad = append(f.bad, check(in))
	return &awscw.PutMetricDataOutput{}, nil
}

// check applies the rules of PutMetricData.
func check(in *awscw.PutMetricDataInput) error {
	var errs []error
	if len(in.MetricData) == 0 || len(in.MetricData) > 1000 {
		errs = append(errs, fmt.Errorf("%d data", len(in.MetricData)))
	}
	for _, d := range in.MetricData {
		if len(d.Dimensions) > 30 || d.Unit == "" || d.Timestamp == nil || d.Timestamp.IsZero() {
			errs = append(errs, fmt.Errorf("%s: dimensions, unit or time stamp", *d.MetricName))
		}
		if len(d.Values) != len(d.Counts) || len(d.Values) > 150 || (len(d.Values) == 0) == (d.StatisticValues == nil) {
			errs = append(errs, fmt.Errorf("%s: %d values, %d counts, set %v", *d.MetricName, len(d.Values), len(d.Counts), d.StatisticValues != nil))
		}
		for _, dim := range d.Dimensions {
			if strings.TrimSpace(*dim.Value) == "" {
				errs = append(errs, fmt.Errorf("%s: blank %s", *d.MetricName, *dim.Name))
			}
		}
	}
	return errors.Join(errs...)
}

// sums is what arrived, by "Name{Dim=value,...}".
func (f *fake) sums(t testing.TB) map[string]*types.StatisticSet {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(f.bad...); err != nil {
		t.Errorf("CloudWatch would refuse: %s", err)
	}
	all := map[string]*types.StatisticSet{}
	for _, call := range f.calls {
		for _, d := range call.MetricData {
			got := stat(d)
			if s := all[name(d)]; s != nil {
				*s.SampleCount += *got.SampleCount
				*s.Sum += *got.Sum
				*s.Minimum = min(*s.Minimum, *got.Minimum)
				*s.Maximum = max(*s.Maximum, *got.Maximum)
			} else {
				all[name(d)] = got
			}
		}
	}
	return all
}

func name(d types.MetricDatum) string {
	var dims []string
	for _, dim := range d.Dimensions {
		dims = append(dims, *dim.Name+"="+*dim.Value)
	}
	return *d.MetricName + "{" + strings.Join(dims, ",") + "}"
}

// stat returns the statistics that CloudWatch would make of a datum.
func stat(d types.MetricDatum) *types.StatisticSet {
	if v := d.StatisticValues; v != nil {
		n, sum, lo, hi := *v.SampleCount, *v.Sum, *v.Minimum, *v.Maximum
		return &types.StatisticSet{SampleCount: &n, Sum: &sum, Minimum: &lo, Maximum: &hi}
	}
	n, sum, lo, hi := 0.0, 0.0, d.Values[0], d.Values[0]
	for i, v := range d.Values {
		n += d.Counts[i]
		sum += v * d.Counts[i]
		lo, hi = min(lo, v), max(hi, v)
	}
	return &types.StatisticSet{SampleCount: &n, Sum: &sum, Minimum: &lo, Maximum: &hi}
}

func newSink(t testing.TB, f *fake, c cloudwatch.Config) *cloudwatch.Sink {
	t.Helper()
	s, err := cloudwatch.New(f, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func closeSink(t testing.TB, s *cloudwatch.Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

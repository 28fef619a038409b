// SPDX-License-Identifier: Apache-2.0

package cloudwatch_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awscw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics/cloudwatch"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
)

func TestEachPointIsInOneUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		s := newSink(t, f, cloudwatch.Config{})
		start := time.Now()
		for i := range 5 {
			s.Observe(received(i + 1))
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		time.Sleep(2 * time.Minute) // nothing happens, nothing is sent
		closeSink(t, s)
		if len(f.calls) != 5 {
			t.Fatalf("unexpected number of uploads; got %d; want 5", len(f.calls))
		}
		for i, call := range f.calls {
			for _, d := range call.MetricData {
				if *d.StatisticValues.Sum != float64(i+1) || !d.Timestamp.Equal(start.Add(time.Duration(i+1)*time.Minute)) || d.Unit != types.StandardUnitCount {
					t.Errorf("unexpected datum of upload %d: %s at %v", i, name(d), d.Timestamp)
				}
			}
		}
	})
}

// TestFailedUploadIsTriedAgain with its own time stamp, and what had been taken is
// not sent twice.
func TestFailedUploadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fake{answer: func(n int, _ *awscw.PutMetricDataInput) error {
			if n >= 1 && n <= 3 { // the second request of the first upload, and two more uploads
				return errors.New("no network")
			}
			return nil
		}}
		s := newSink(t, f, cloudwatch.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range 1500 { // two requests
			s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsPut, "logs", fmt.Sprintf("shardId-%012d", i), "", 1, 1)})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsPut, "logs", shard0, "", 1, 1)})
		time.Sleep(time.Minute)
		time.Sleep(time.Minute)
		time.Sleep(time.Minute)
		synctest.Wait()
		sums := f.sums(t)
		if got := *sums["UserRecordsPut{}"].Sum; got != 1501 {
			t.Errorf("unexpected sum; got %v; want 1501", got)
		}
		for name, v := range sums {
			want := 1.0
			if strings.HasSuffix(name, shard0+"}") {
				want = 2
			}
			if strings.Contains(name, "ShardId") && *v.Sum != want {
				t.Errorf("unexpected sum of %s; got %v; want %v", name, *v.Sum, want)
			}
		}
		if len(f.calls) != 3 {
			t.Fatalf("unexpected number of requests taken; got %d; want 2 of the first upload and 1 of the second", len(f.calls))
		}
		if a, b := *f.calls[1].MetricData[0].Timestamp, *f.calls[2].MetricData[0].Timestamp; b.Sub(a) != time.Minute {
			t.Errorf("unexpected time stamps; got %v and %v; want those of the windows", a, b)
		}
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "no network") || !strings.Contains(got, "again") {
			t.Errorf("unexpected log; want one line for the beginning and one for the end of the failures:\n%s", got)
		}
	})
}

// TestLongOutageIsBoundedWithoutLoss: beyond MaxPending, windows are summed up.
func TestLongOutageIsBoundedWithoutLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		down := true
		f.answer = func(int, *awscw.PutMetricDataInput) error {
			if down {
				return &smithy.GenericAPIError{Code: "AccessDenied", Message: "not you"}
			}
			return nil
		}
		s := newSink(t, f, cloudwatch.Config{MaxPending: 3})
		for i := range 60 {
			s.Observe([]core.Observation{metricstest.Obs(core.MetricRequestTime, "logs", "", "", 1, float64(i))})
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		f.mu.Lock()
		down = false
		f.mu.Unlock()
		closeSink(t, s)
		if len(f.calls) != 3 {
			t.Errorf("unexpected number of uploads; got %d; want 3", len(f.calls))
		}
		got := f.sums(t)["RequestTime{StreamName=logs}"]
		if *got.SampleCount != 60 || math.Abs(*got.Sum-59*30) > 1e-6 || *got.Minimum != 0 || *got.Maximum != 59 {
			t.Errorf("unexpected sums: %v points, sum %v, %v to %v", *got.SampleCount, *got.Sum, *got.Minimum, *got.Maximum)
		}
		if age := time.Since(*f.calls[0].MetricData[0].Timestamp); age > 3*time.Minute {
			t.Errorf("unexpected age of the oldest upload; got %v; want it within what CloudWatch takes", age)
		}
	})
}

// TestInvalidDatumIsDroppedAlone: the other 1999 series arrive.
func TestInvalidDatumIsDroppedAlone(t *testing.T) {
	many := func(t *testing.T, f *fake) *cloudwatch.Sink {
		s := newSink(t, f, cloudwatch.Config{})
		for i := range 2000 {
			s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsPut, "logs", fmt.Sprintf("shardId-%012d", i), "", 1, 1)})
		}
		closeSink(t, s)
		return s
	}
	for _, bad := range []int{0, 500, 777, 997, 998, 1001, 1999} {
		f := &fake{answer: func(_ int, in *awscw.PutMetricDataInput) error {
			for _, d := range in.MetricData {
				if strings.Contains(name(d), fmt.Sprintf("shardId-%012d", bad)) {
					return &smithy.GenericAPIError{Code: "InvalidParameterValue", Message: "no such thing"}
				}
			}
			return nil
		}}
		s := many(t, f)
		if sums := f.sums(t); len(sums) != 1999+2 || s.Dropped() != 1 || f.n > 50 {
			t.Errorf("unexpected series with shard %d invalid; got %d, %d dropped, %d requests; want 2001 and 1", bad, len(sums), s.Dropped(), f.n)
		}
	}
	// If everything is invalid, that ends.
	f := &fake{answer: func(int, *awscw.PutMetricDataInput) error { return &smithy.GenericAPIError{Code: "ValidationError"} }}
	if s := many(t, f); f.n > 150 || s.Dropped() != 2002 {
		t.Errorf("unexpected end; got %d requests and %d series dropped; want all 2002 dropped", f.n, s.Dropped())
	}
}

// SPDX-License-Identifier: Apache-2.0

package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"
)

// A request that CloudWatch calls invalid is halved to find what is wrong with
// it, but not more often than this in one upload.
const maxSplits = 64

// upload is a window that has not been uploaded, or not all of it.
type upload struct {
	at      time.Time // the end of the window, as in the KPL
	entries []entry
}

// take ends the window and queues it.
func (s *Sink) take(now time.Time) {
	list := s.cfg.expand(s.window.Take(), s.gauges.Take())
	if len(list) > 0 {
		s.pending = append(s.pending, upload{at: now, entries: list})
	}
	for len(s.pending) > s.cfg.MaxPending {
		s.pending[1].merge(s.pending[0])
		s.pending = append(s.pending[:0], s.pending[1:]...)
	}
}

// merge adds the entries of an older window.
func (u *upload) merge(old upload) {
	at := make(map[path]int, len(u.entries))
	for i := range u.entries {
		at[u.entries[i].path] = i
	}
	for _, e := range old.entries {
		if i, found := at[e.path]; found {
			u.entries[i].Merge(e.Stat)
		} else {
			u.entries = append(u.entries, e)
		}
	}
}

// send uploads what is pending, the oldest first, and stops at the first failure.
// What has been taken is not sent again.
func (s *Sink) send(ctx context.Context) error {
	splits := 0
	for len(s.pending) > 0 {
		u := &s.pending[0]
		limit := maxData
		for len(u.entries) > 0 {
			data := s.cfg.request(u, limit)
			err := s.put(ctx, data)
			switch {
			case err == nil:
				limit = min(2*len(data), maxData)
			case !invalid(err):
				return err
			case len(data) > 1 && splits < maxSplits:
				splits++
				limit = len(data) / 2
				continue
			default:
				limit = maxData
				s.dropped.Add(uint64(len(data)))
				if s.cfg.Logger != nil {
					s.cfg.Logger.Error("CloudWatch refuses metrics as invalid; they are dropped", "err", err,
						"series", len(data), "first", *data[0].MetricName)
				}
			}
			u.entries = u.entries[len(data):]
		}
		s.pending = append(s.pending[:0], s.pending[1:]...)
	}
	return nil
}

// request returns the data of the next request, at least one.
func (c *Config) request(u *upload, limit int) []types.MetricDatum {
	var data []types.MetricDatum
	bytes := 0
	for i := range u.entries {
		d := c.datum(&u.entries[i], u.at)
		bytes += size(&d)
		if len(data) > 0 && (len(data) == limit || bytes > maxBytes) {
			break
		}
		data = append(data, d)
	}
	return data
}

func (s *Sink) put(ctx context.Context, data []types.MetricDatum) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	_, err := s.client.PutMetricData(ctx, &cloudwatch.PutMetricDataInput{Namespace: aws.String(s.cfg.Namespace), MetricData: data})
	if err != nil {
		return fmt.Errorf("cannot put metric data: %w", err)
	}
	return nil
}

// invalid says whether an error means that the same request can never succeed.
// What else there is (access, throttles, the network) can be put right.
func invalid(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, prefix := range []string{"InvalidParameter", "MissingParameter", "MissingRequiredParameter", "InvalidFormat", "Validation", "RequestEntityTooLarge", "SerializationException"} {
		if strings.HasPrefix(api.ErrorCode(), prefix) {
			return true
		}
	}
	return false
}

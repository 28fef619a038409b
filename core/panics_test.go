// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// nothingClient answers PutRecords with neither an answer nor an error.
type nothingClient struct{ core.Client }

func (nothingClient) PutRecords(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	return nil, nil
}

// panicHandler panics on every line.
type panicHandler struct{ slog.Handler }

func (panicHandler) Handle(context.Context, slog.Record) error { panic("injected") }

func TestLoggerThatPanicsHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 2, Effect: kinesistest.Status(503)})
		p := newProducer(t, s.Client(), core.WithLogger(slog.New(panicHandler{slog.DiscardHandler})))
		records := batchOf("a", 10)
		wait(t, put(t, p, records))
		closeProducer(t, p)
		checkDelivered(t, s, records)
		if f.Hits() != 2 {
			t.Errorf("unexpected number of faults; got %d; want 2", f.Hits())
		}
	})
}

// statsHandler asks for the state of the producer on every line.
type statsHandler struct {
	slog.Handler
	p     *core.Producer
	lines int
}

func (*statsHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *statsHandler) Handle(context.Context, slog.Record) error {
	h.lines++
	_, _ = h.p.Stats(), h.p.Snapshot()
	return nil
}

// A logger is foreign code, so no lock may be held while it runs.
func TestLoggerMayUseTheProducer(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Status(503)})
	h := &statsHandler{Handler: slog.DiscardHandler}
	p := newProducer(t, s.Client(), core.WithLogger(slog.New(h)))
	h.p = p
	wait(t, put(t, p, batchOf("a", 10)))
	closeProducer(t, p)
	if h.lines == 0 {
		t.Error("unexpected silence of the log")
	}
}

func TestClientThatAnswersNothingIsNotBelieved(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	p := newProducer(t, nothingClient{s.Client()})
	b := put(t, p, batchOf("a", 10))
	wait(t, b)
	if r := b.Result(0); r.Err == nil || r.Err.Reason != core.ReasonCountMismatch {
		t.Errorf("unexpected result %+v; want reason count_mismatch", r)
	}
}

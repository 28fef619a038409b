// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/option/table"
)

// startOn starts an instance on s and closes it again.
func startOn(t *testing.T, s *kinesistest.Server, kv ...string) (log string, err error) {
	t.Helper()
	cfg, err := ParseConfig(with(kv...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	lines := &logBuffer{}
	checked := make(chan struct{}, 1)
	in, err := New(cfg, Deps{
		Logger: slog.New(slog.NewTextHandler(lines, nil)),
		NewProducer: func(cfg *Config, logger *slog.Logger) (Producer, error) {
			p, err := core.New(s.Client(), producerOptions(cfg, logger)...)
			return checkedProducer{coreProducer{p}, checked}, err
		},
	})
	if err == nil {
		if cfg.StartupCheck != table.CheckOff && cfg.event.Stream == "" {
			<-checked
			in.work.Wait()
		}
		if err := in.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	return lines.String(), err
}

// checkedProducer tells when the check has ended.
type checkedProducer struct {
	coreProducer
	done chan struct{}
}

func (p checkedProducer) Check(ctx context.Context, stream string) error {
	defer func() { p.done <- struct{}{} }()
	return p.coreProducer.Check(ctx, stream)
}

func TestStartupCheck(t *testing.T) {
	with := kinesistest.New(kinesistest.WithStream("logs", 1))
	without := kinesistest.New()
	for _, tt := range []struct {
		name, word string
		s          *kinesistest.Server
		fails      bool
		log        string
	}{
		{"off does not look", "off", without, false, ""},
		{"warn says what is missing", "warn", without, false, "there is no such stream"},
		{"warn says that all is well", "warn", with, false, "can be written to"},
		{"require refuses", "require", without, true, "there is no such stream"},
		{"require starts", "require", with, false, "can be written to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log, err := startOn(t, tt.s, "startup_check", tt.word)
			if (err != nil) != tt.fails || !strings.Contains(log, tt.log) || tt.log == "" && strings.Contains(log, "startup check") {
				t.Errorf("unexpected start; got %v; log:\n%s", err, log)
			}
		})
	}
	t.Run("a failure that may pass does not keep from starting", func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 1))
		s.Fault(kinesistest.Fault{Effect: kinesistest.Status(503)})
		if log, err := startOn(t, s, "startup_check", "require"); err != nil || !strings.Contains(log, "startup check") {
			t.Errorf("unexpected start; got %v; log:\n%s", err, log)
		}
	})
	t.Run("templates are not checked, which is said", func(t *testing.T) {
		if log, err := startOn(t, without, "startup_check", "require", "stream", "$a"); err != nil || !strings.Contains(log, "option=startup_check") {
			t.Errorf("unexpected start; got %v; log:\n%s", err, log)
		}
	})
	t.Run("closing ends a check that hangs", func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 1))
		s.Fault(kinesistest.Fault{Effect: kinesistest.Hang()})
		in, _ := newReal(t, s, "startup_check", "warn")
		if err := in.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if n := len(with.Records("logs")); n != 0 {
		t.Errorf("unexpected records; got %d; want none from checks", n)
	}
}

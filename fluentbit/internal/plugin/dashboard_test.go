// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

// A user who imports the dashboard and changes nothing sees something in each panel.
func TestDashboardHasNoEmptyPanelAtTheDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := ParseConfig(with(), noEnv)
		if err != nil {
			t.Fatal(err)
		}
		registry := newRegistry(t)
		srv := kinesistest.New(kinesistest.WithStream("logs", 2))
		in, err := New(cfg, Deps{Registry: registry, NewProducer: func(cfg *Config, logger *slog.Logger) (Producer, error) {
			p, err := core.New(srv.Client(), producerOptions(cfg, logger)...)
			return coreProducer{p}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, in.Flush("tag", chunkOf(100)), OK)
		<-time.After(2 * meterInterval)
		if err := in.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		shown := map[string]bool{"fluentbit_output_retries_total": true, "fluentbit_output_dropped_records_total": true} // of the host
		for key := range registry.values {
			name, _, _ := strings.Cut(key, "{")
			shown["kpl_"+name] = true
		}
		for key := range registry.counts {
			name, _, _ := strings.Cut(key, "{")
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				shown["kpl_"+name+part] = true
			}
		}
		metric := regexp.MustCompile(`\b(?:kpl|fluentbit)_[a-z_]+`)
		panels := testkit.Dashboard(t, "../../../conf/grafana/out_kpl.json")
		for _, panel := range panels {
			if panel.Row == "kpl-http" {
				continue // the other receiver's
			}
			full := false
			for _, q := range panel.Queries {
				has := true
				for _, name := range metric.FindAllString(q, -1) {
					has = has && shown[name]
				}
				full = full || has || strings.Contains(q, "vector(0)")
			}
			if !full {
				t.Errorf("the panel %q is empty: none of its queries has all metrics: %q", panel.Name(), panel.Queries)
			}
		}
		if len(panels) < 30 {
			t.Errorf("unexpected number of panels; got %d", len(panels))
		}
	})
}

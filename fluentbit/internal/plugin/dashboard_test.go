// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// dashboard lists the queries of each panel, by its row and title.
func dashboard(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../../conf/grafana/out_kpl.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	panels, row := map[string][]string{}, ""
	for _, p := range d.Panels {
		if p.Type == "row" {
			row = p.Title
			continue
		}
		for _, target := range p.Targets {
			panels[row+" / "+p.Title] = append(panels[row+" / "+p.Title], target.Expr)
		}
	}
	return panels
}

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
		panels := dashboard(t)
		for panel, queries := range panels {
			if strings.HasPrefix(panel, "kpl-http / ") {
				continue // the other receiver's
			}
			full := false
			for _, q := range queries {
				has := true
				for _, name := range metric.FindAllString(q, -1) {
					has = has && shown[name]
				}
				full = full || has || strings.Contains(q, "vector(0)")
			}
			if !full {
				t.Errorf("the panel %q is empty: none of its queries has all metrics: %q", panel, queries)
			}
		}
		if len(panels) < 30 {
			t.Errorf("unexpected number of panels; got %d", len(panels))
		}
	})
}

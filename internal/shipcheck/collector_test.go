// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"regexp"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// The collector sends to where kpl-http listens, and waits for longer than kpl-http does. That
// it takes the file at all is tested by make shippers, with the collector itself.
func TestCollectorGoesWithKplHTTP(t *testing.T) {
	var collector struct {
		Exporters map[string]struct {
			Endpoint string
			TLS      struct{ Insecure bool }
			Timeout  string
			Retry    struct {
				MaxElapsedTime string `yaml:"max_elapsed_time"`
			} `yaml:"retry_on_failure"`
		}
		Service struct {
			Pipelines map[string]struct{ Exporters []string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "conf", "otel-collector.yaml")), &collector); err != nil {
		t.Fatal(err)
	}
	var server struct {
		Route struct {
			AckTimeout string `yaml:"ack_timeout"`
		}
	}
	text := read(t, "conf", "kpl-http.yaml")
	if err := yaml.Unmarshal([]byte(text), &server); err != nil {
		t.Fatal(err)
	}
	listen := regexp.MustCompile(`# otlp_grpc:\n#   listen: (\S+)`).FindStringSubmatch(text)
	if listen == nil {
		t.Fatal("conf/kpl-http.yaml does not show otlp_grpc.listen")
	}
	e := collector.Exporters["otlp/kinesis"]
	if e.Endpoint != listen[1] || !e.TLS.Insecure {
		t.Errorf("conf/otel-collector.yaml: unexpected endpoint; got %q, insecure %t; want %q without TLS", e.Endpoint, e.TLS.Insecure, listen[1])
	}
	timeout, err := time.ParseDuration(e.Timeout)
	ack, ackErr := time.ParseDuration(server.Route.AckTimeout)
	if err != nil || ackErr != nil || timeout <= ack || e.Retry.MaxElapsedTime != "0s" {
		t.Errorf("conf/otel-collector.yaml: unexpected times; got %q and %q; want a timeout above %q, and no end of retries", e.Timeout, e.Retry.MaxElapsedTime, server.Route.AckTimeout)
	}
	for name, p := range collector.Service.Pipelines {
		if name != "logs" || len(p.Exporters) != 1 || p.Exporters[0] != "otlp/kinesis" {
			t.Errorf("conf/otel-collector.yaml: unexpected pipeline; got %s to %q; want logs to otlp/kinesis", name, p.Exporters)
		}
	}
}

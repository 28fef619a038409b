// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// testCheck asks whether a stream can be written to. The emulators do not know
// DryRun, and still must not get a record.
func (g *target) testCheck(t *testing.T) {
	const stream = "checked"
	g.createStream(t, stream, 2)
	p := g.newProducer(t)
	if err := p.Check(t.Context(), stream); err != nil {
		t.Errorf("unexpected problem: %v", err)
	}
	got, err := kinesistest.ReadAll(t.Context(), g.api, stream)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Records) != 0 {
		t.Errorf("unexpected records written by the check; got %d; want 0", len(got.Records))
	}
	var problem *core.CheckError
	if err := p.Check(t.Context(), "not-there"); !errors.As(err, &problem) || !strings.Contains(problem.Detail, "no such stream in region "+region) {
		t.Errorf("unexpected problem %v; want that there is no such stream", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package emulatorstest starts emulators for tests and skips tests that need them
// where they are not installed. With CI=true in the environment such a test
// fails instead, so that a build never passes by testing less.
//
//	func TestAgainstKinesalite(t *testing.T) {
//		s := emulatorstest.Start(t, emulators.Kinesalite, emulators.Config{})
//		use(s.URL()) // gone at the end of the test
//	}
package emulatorstest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/emulators"
)

// startTimeout is generous because kinesis-local needs 7 s of a busy machine.
const startTimeout = time.Minute

// Require skips the test, or fails it with CI=true, if node or the npm packages
// are not installed.
func Require(t testing.TB) {
	t.Helper()
	err := emulators.Available()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("with CI=true this test may not be left out: %v", err)
	default:
		t.Skipf("NOT TESTED against implementations that are not ours: %v", err)
	}
}

// RequireJVM skips the test, or fails it with CI=true, if Java or what "make jvm"
// makes is not there.
func RequireJVM(t testing.TB) {
	t.Helper()
	err := emulators.AvailableJVM()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("with CI=true this test may not be left out: %v", err)
	default:
		t.Skipf("NOT TESTED against the real KCL and KPL: %v", err)
	}
}

// Start starts an emulator that is stopped at the end of the test, after Require.
func Start(t testing.TB, kind emulators.Kind, c emulators.Config) *emulators.Server {
	t.Helper()
	Require(t)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s, err := emulators.Start(ctx, kind, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() && s.Output() != "" {
			t.Logf("%s printed: %s", kind, s.Output())
		}
	})
	return s
}

// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"os/exec"
	"strings"
	"testing"
)

// runMake runs make in the root of the repository.
func runMake(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("NOT TESTED: make is missing")
	}
	cmd := exec.Command("make", append([]string{"-C", "../..", "--no-print-directory"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The demo waits for nothing that it does not use, and says what takes long.
func TestDemoBuildsWhatItUsesAndSaysSo(t *testing.T) {
	out, err := runMake(t, "-n", "-B", "demo", "FLUENT_BIT=", "KINESIS=")
	if err != nil {
		t.Fatalf("cannot list the commands: %v\n%s", err, out)
	}
	if strings.Contains(out, "./cmd/") {
		t.Errorf("unexpected build of programs; got\n%s", out)
	}
	for _, want := range []string{"compiles the plugin", "compiles the demo"} {
		said, built := strings.Index(out, want), strings.Index(out, map[string]string{"compiles the plugin": "-buildmode=c-shared", "compiles the demo": "go run"}[want])
		if said < 0 || built < said {
			t.Errorf("unexpected commands; got\n%s\nwant %q before the build", out, want)
		}
	}
}

func TestDemoRefusesWrongSettingsBeforeItBuilds(t *testing.T) {
	for setting, want := range map[string]string{
		"FLUENT_BIT=/nope": "error: FLUENT_BIT: '/nope': cannot be run; allowed: the path of a fluent-bit",
		"KINESIS=aws":      "error: KINESIS: 'aws': not known; allowed: embedded, kinesalite or kinesis-local",
	} {
		out, err := runMake(t, "demo", setting)
		if err == nil || !strings.Contains(out, want) || strings.Contains(out, "compiles") {
			t.Errorf("unexpected result of %s; got %v\n%s\nwant %q and no build", setting, err, out, want)
		}
	}
}

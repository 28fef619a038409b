// SPDX-License-Identifier: Apache-2.0

package emulators

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "module github.com/outkpl/outkpl\n"

// ErrUnavailable is in the chain of errors that say that node or the npm packages
// are not installed.
var ErrUnavailable = errors.New("emulators are not available")

// Available returns nil if everything this package runs is installed, else an
// error with ErrUnavailable in its chain that says what to do.
func Available() error {
	_, _, err := find()
	return err
}

// find returns the node program and the folder with the scripts.
func find() (node, dir string, err error) {
	if node, err = exec.LookPath("node"); err != nil {
		return "", "", fmt.Errorf("%w: node is not on PATH; install it (on Debian: apt-get install nodejs npm) and run make npm", ErrUnavailable)
	}
	if dir, err = folder(); err != nil {
		return "", "", err
	}
	for _, name := range []string{"kinesalite", "kinesis-local", "aws-kinesis-agg"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", name, "package.json")); err != nil {
			return "", "", fmt.Errorf("%w: npm package %s is not installed; run make npm", ErrUnavailable, name)
		}
	}
	return node, dir, nil
}

// folder finds this package's folder from the working directory upwards, because the
// scripts need the npm packages beside them and so cannot be embedded.
func folder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("cannot find the repository: %w", err)
	}
	for {
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(b), module) {
			return filepath.Join(dir, "internal", "emulators"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("%w: the working directory is not in the repository", ErrUnavailable)
		}
		dir = parent
	}
}

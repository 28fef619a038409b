// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// allowed are the licences (SPDX) of modules that may be part of a program. All let it
// be passed on under the Apache License 2.0 with their notices.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// bill is the part of a CycloneDX document that is looked at.
type bill struct {
	BOMFormat  string `json:"bomFormat"`
	Components []struct {
		Name, Version string
		Evidence      struct{ Licenses []choice }
		Licenses      []choice
	}
}

// choice is a licence.
type choice struct {
	License struct{ ID string }
}

// materials writes the bill of materials of a built file and checks the licences in it.
func (r *release) materials(t target) error {
	path := filepath.Join(r.out, t.file())
	sbom := path + ".cdx.json"
	// Neither a time nor a random number: the bill has to be reproducible, too. Every
	// module is in the cache after the build; this one must not be asked for elsewhere.
	err := r.run(append(os.Environ(), "GOPROXY=off"), "go", "tool", "-modfile=tools/go.mod", "cyclonedx-gomod", "bin", "-json", "-licenses", "-std",
		"-noserial", "-notimestamp", "-version", r.version, "-output", sbom, path)
	if err != nil {
		return fmt.Errorf("cannot write the bill of materials of %s: %w", t.file(), err)
	}
	b, err := os.ReadFile(sbom)
	if err != nil {
		return err
	}
	if b, err = withoutTool(b); err != nil {
		return fmt.Errorf("cannot read %s: %w", sbom, err)
	}
	if err := os.WriteFile(sbom, b, 0o644); err != nil {
		return err
	}
	return checkBill(sbom, b)
}

// withoutTool leaves out the checksums of the program that wrote the bill, which differ
// from machine to machine.
func withoutTool(b []byte) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	if meta, ok := doc["metadata"].(map[string]any); ok {
		if tools, ok := meta["tools"].([]any); ok {
			for _, t := range tools {
				if t, ok := t.(map[string]any); ok {
					delete(t, "hashes")
				}
			}
		}
	}
	return json.MarshalIndent(doc, "", " ")
}

func checkBill(name string, data []byte) error {
	var doc bill
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	if doc.BOMFormat != "CycloneDX" || len(doc.Components) == 0 {
		return fmt.Errorf("%s lists no components", name)
	}
	var errs []error
	for _, c := range doc.Components {
		licences := slices.Concat(c.Evidence.Licenses, c.Licenses)
		ok := c.Name == "std" && len(licences) == 0 // Go itself: BSD-3-Clause, but not in the module cache
		ids := []string{}
		for _, l := range licences {
			ids = append(ids, l.License.ID)
			ok = ok || slices.Contains(allowed, l.License.ID) ||
				// What the detector takes the BSD-3-Clause of the Go project for.
				l.License.ID == "BSD-Source-Code" && strings.HasPrefix(c.Name, "golang.org/x/")
		}
		if !ok {
			errs = append(errs, fmt.Errorf("%s: unexpected licence of %s %s; got %v; allowed: %v", name, c.Name, c.Version, ids, allowed))
		}
	}
	return errors.Join(errs...)
}

// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Terraform itself needs the provider, and so the network, to check types; this checks
// the syntax, and that everything that is referred to is defined.
func TestTerraform(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "conf", "terraform", "*.tf"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	p := hclparse.NewParser()
	defined := map[string]bool{}
	var bodies []*hclsyntax.Body
	for _, path := range paths {
		f, diags := p.ParseHCLFile(path)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		body := f.Body.(*hclsyntax.Body)
		bodies = append(bodies, body)
		for _, b := range body.Blocks {
			switch b.Type {
			case "resource":
				defined[b.Labels[0]+"."+b.Labels[1]] = true
			case "data":
				defined["data."+b.Labels[0]+"."+b.Labels[1]] = true
			case "variable":
				defined["var."+b.Labels[0]] = true
			case "locals":
				for name := range b.Body.Attributes {
					defined["local."+name] = true
				}
			case "terraform", "output":
			default:
				t.Errorf("%s: unexpected block %s", path, b.Type)
			}
		}
	}
	if !defined["aws_kinesis_stream.logs"] || !defined["aws_iam_role.producer"] {
		t.Error("stream or role is missing")
	}
	n := 0
	for _, body := range bodies {
		for _, v := range variables(body) {
			if name := reference(v); name != "" {
				n++
				if !defined[name] {
					t.Errorf("%s: %s is not defined", v.SourceRange(), name)
				}
			}
		}
	}
	if n < 15 {
		t.Errorf("unexpected number of references; got %d; want more", n)
	}
}

// variables lists all references in a body and in the blocks in it.
func variables(body *hclsyntax.Body) (list []hcl.Traversal) {
	for _, a := range body.Attributes {
		list = append(list, a.Expr.Variables()...)
	}
	for _, b := range body.Blocks {
		if b.Type == "variable" || b.Type == "terraform" {
			continue // types are words there
		}
		list = append(list, variables(b.Body)...)
	}
	return list
}

// reference is what has to be defined: type.name, var.name, local.name or data.type.name.
func reference(v hcl.Traversal) string {
	want := 2
	if v.RootName() == "data" {
		want = 3
	}
	parts := []string{v.RootName()}
	for _, step := range v[1:] {
		if a, ok := step.(hcl.TraverseAttr); ok && len(parts) < want {
			parts = append(parts, a.Name)
		}
	}
	if len(parts) < want {
		return ""
	}
	return strings.Join(parts, ".")
}

// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// block is what a block of Terraform may hold: attributes, those of them that have to be
// there, and blocks.
type block struct {
	attributes, required []string
	blocks               map[string]block
}

// policyDocument is the data source of policies.
var policyDocument = block{blocks: map[string]block{"statement": {
	attributes: []string{"sid", "effect", "actions", "not_actions", "resources", "not_resources"}, required: []string{"actions"},
	blocks: map[string]block{
		"principals": {required: []string{"type", "identifiers"}},
		"condition":  {required: []string{"test", "variable", "values"}},
	},
}}}

// terraformBlocks are the blocks that are used, resources and data with their type.
// Source: the pages of the provider at https://registry.terraform.io/providers/hashicorp/aws/latest/docs (not checked).
var terraformBlocks = map[string]block{
	"terraform": {attributes: []string{"required_version"}, blocks: map[string]block{"required_providers": {required: []string{"aws"}}}},
	"variable":  {attributes: []string{"description", "type", "default", "sensitive", "nullable"}},
	"output":    {attributes: []string{"description", "sensitive"}, required: []string{"value"}},

	"data aws_caller_identity":     {},
	"data aws_region":              {},
	"data aws_iam_policy_document": policyDocument,
	"resource aws_kms_key":         {attributes: []string{"description", "enable_key_rotation", "deletion_window_in_days", "policy", "tags"}},
	"resource aws_kinesis_stream": {
		attributes: []string{"shard_count", "retention_period", "encryption_type", "kms_key_id", "shard_level_metrics", "enforce_consumer_deletion", "tags"}, required: []string{"name"},
		blocks: map[string]block{"stream_mode_details": {required: []string{"stream_mode"}}},
	},
	"resource aws_iam_role":        {attributes: []string{"name", "description", "path", "max_session_duration", "tags"}, required: []string{"assume_role_policy"}},
	"resource aws_iam_role_policy": {attributes: []string{"name", "count"}, required: []string{"role", "policy"}}, // count is of Terraform itself
}

// What aws_* and data.aws_* are asked for.
var terraformResults = []string{"arn", "id", "name", "json", "account_id"}

// check compares a body with what it may hold.
func (b block) check(where string, body *hclsyntax.Body) (problems []string) {
	for _, name := range b.required {
		if body.Attributes[name] == nil {
			problems = append(problems, fmt.Sprintf("%s: %s is missing", where, name))
		}
	}
	for name := range body.Attributes {
		if !slices.Contains(b.attributes, name) && !slices.Contains(b.required, name) {
			problems = append(problems, fmt.Sprintf("%s: unexpected attribute %s", where, name))
		}
	}
	for _, inner := range body.Blocks {
		known, ok := b.blocks[inner.Type]
		if !ok {
			problems = append(problems, fmt.Sprintf("%s: unexpected block %s", where, inner.Type))
			continue
		}
		problems = append(problems, known.check(where+" "+inner.Type, inner.Body)...)
	}
	return problems
}

// terraformProblems compares a file with the table, and its tests of conditions and the
// results that it asks for with those that are known.
func terraformProblems(text []byte) (problems []string) {
	f, diags := hclparse.NewParser().ParseHCL(text, "main.tf")
	if diags.HasErrors() {
		return []string{diags.Error()}
	}
	body := f.Body.(*hclsyntax.Body)
	for _, b := range body.Blocks {
		name := b.Type
		if name == "resource" || name == "data" {
			name += " " + b.Labels[0]
		}
		known, ok := terraformBlocks[name]
		switch {
		case name == "locals":
		case !ok:
			problems = append(problems, "unexpected block "+name)
		default:
			problems = append(problems, known.check(name, b.Body)...)
		}
		for _, v := range variables(&hclsyntax.Body{Blocks: hclsyntax.Blocks{b}}) {
			last, ok := v[len(v)-1].(hcl.TraverseAttr)
			if ok && (strings.HasPrefix(v.RootName(), "aws_") || v.RootName() == "data") && !slices.Contains(terraformResults, last.Name) {
				problems = append(problems, fmt.Sprintf("%s: unexpected result %s", v.SourceRange(), last.Name))
			}
		}
	}
	return append(problems, wordProblems(body)...)
}

// terraformWords are attributes with a text out of a list.
var terraformWords = map[string][]string{
	"test":            {"StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool"},
	"variable":        {"kms:ViaService", "aws:SourceAccount", "aws:SourceArn", ":aud", ":sub"},
	"encryption_type": {"KMS", "NONE"},
	"type":            {"Service", "Federated", "AWS"},
}

// wordProblems looks at texts; of one with a variable in it at what follows the variable.
func wordProblems(body *hclsyntax.Body) (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(body.Attributes)) {
		words, ok := terraformWords[name]
		if !ok {
			continue
		}
		e, ok := body.Attributes[name].Expr.(*hclsyntax.TemplateExpr)
		if !ok {
			continue
		}
		v, _ := e.Parts[len(e.Parts)-1].Value(nil)
		if !slices.Contains(words, v.AsString()) {
			problems = append(problems, fmt.Sprintf("%s: unexpected %s; got %s", e.Range(), name, v.AsString()))
		}
	}
	for _, b := range body.Blocks {
		problems = append(problems, wordProblems(b.Body)...)
	}
	return problems
}

func TestAttributesOfTerraform(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "conf", "terraform", "*.tf"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		for _, p := range terraformProblems(file(t, path)) {
			t.Errorf("%s: %s", path, p)
		}
	}
}

func TestBrokenTerraformIsNoticed(t *testing.T) {
	good := string(file(t, root, "conf", "terraform", "main.tf"))
	for old, broken := range map[string]string{
		"resources =": "resource =", "variable = \"kms": "variables = \"kms", "actions   =": "action =", "value = aws": "values = aws", "test     =": "tests =",
		"condition {": "conditions {", "shard_count ": "shards ", "kms_key_id ": "kms_key ", "aws_kms_key\" \"logs": "aws_kms_kee\" \"logs", "stream_mode_details": "stream_mode",
		"logs.arn": "logs.arm", `"StringEquals"`: `"StringEqual"`, `:aud"`: `:audience"`, `"KMS"`: `"KSM"`, `"Federated"`: `"Federate"`, "required_version": "version",
	} {
		text := strings.Replace(good, old, broken, 1)
		if text == good || len(terraformProblems([]byte(text))) == 0 {
			t.Errorf("%q instead of %q was not noticed", broken, old)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// words is a JSON string, or a list of them.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid, Effect string
	Action      words
	Resource    words
	Principal   map[string]words
	Condition   map[string]map[string]words
}

// The actions that exist and that something here is for.
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html (not checked).
var actions = []string{
	"kinesis:PutRecords", "kinesis:ListShards", "kinesis:DescribeStreamSummary", "kinesis:GetShardIterator", "kinesis:GetRecords",
	"kms:GenerateDataKey", "kms:Decrypt", "cloudwatch:PutMetricData", "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:TagSession",
}

// What a statement may ask for: operators, keys, and who takes a role.
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html (not checked).
var (
	operators      = []string{"StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool"}
	conditionKeys  = []string{"kms:ViaService", "cloudwatch:namespace", "aws:SourceAccount", "aws:SourceArn", "sts:ExternalId"}
	principalKinds = []string{"AWS", "Service", "Federated"}
	services       = []string{"ecs-tasks.amazonaws.com", "pods.eks.amazonaws.com"}
)

// producer are the calls of core.Client.
var producerActions = []string{"kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:PutRecords"}

// readBackActions are the calls of read-back, which only verify_uncertain needs.
var readBackActions = []string{"kinesis:GetRecords", "kinesis:GetShardIterator"}

// policyProblems says what is wrong with a policy: of a trust there is no resource, of a
// resource's and a trust's there is a principal.
func policyProblems(data []byte, trust, principal bool) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var p policy
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return []string{err.Error()}
	}
	if p.Version != "2012-10-17" || len(p.Statement) == 0 {
		bad("unexpected version %q, or no statement", p.Version)
	}
	for i, s := range p.Statement {
		if s.Effect != "Allow" || len(s.Action) == 0 {
			bad("statement %d: unexpected effect %q, or no action", i+1, s.Effect)
		}
		for _, a := range s.Action {
			if !slices.Contains(actions, a) {
				bad("statement %d: unexpected action %s", i+1, a)
			}
		}
		if trust != (len(s.Resource) == 0) || principal != (len(s.Principal) > 0) {
			bad("statement %d: unexpected resource %v or principal %v", i+1, s.Resource, s.Principal)
		}
		for operator, values := range s.Condition {
			if !slices.Contains(operators, operator) {
				bad("statement %d: unexpected operator %s", i+1, operator)
			}
			for k := range values {
				oidc := strings.HasPrefix(k, "oidc.eks.") && (strings.HasSuffix(k, ":aud") || strings.HasSuffix(k, ":sub"))
				if !oidc && !slices.Contains(conditionKeys, k) {
					bad("statement %d: unexpected key %s of a condition", i+1, k)
				}
			}
		}
		for kind, list := range s.Principal {
			if !slices.Contains(principalKinds, kind) {
				bad("statement %d: unexpected principal %s", i+1, kind)
			}
			for _, who := range list {
				if !slices.Contains(services, who) && !strings.HasPrefix(who, "arn:aws:iam::") {
					bad("statement %d: nobody is %s", i+1, who)
				}
				if who == "*" || strings.HasSuffix(who, ":root") {
					bad("statement %d: everybody (%s %s) is let in", i+1, kind, who)
				}
			}
		}
		for _, r := range s.Resource {
			parts := strings.SplitN(r, ":", 6)
			switch {
			case r == "*":
				// CloudWatch knows no resources, but a condition.
				if !slices.Equal(s.Action, words{"cloudwatch:PutMetricData"}) || len(s.Condition) == 0 {
					bad("statement %d: every resource is allowed", i+1)
				}
			case len(parts) != 6 || parts[0] != "arn" || parts[1] != "aws" || !regexp.MustCompile(`^\d{12}$`).MatchString(parts[4]) || strings.HasSuffix(parts[5], "/*"):
				bad("statement %d: unexpected resource %s; want an ARN with an account and a name", i+1, r)
			default:
				for _, a := range s.Action {
					service, _, _ := strings.Cut(a, ":")
					if service == "sts" {
						service = "iam"
					}
					if parts[2] != service {
						bad("statement %d: %s is no resource of %s", i+1, r, a)
					}
				}
			}
		}
		if trust && slices.Contains(s.Action, "sts:AssumeRoleWithWebIdentity") {
			for _, suffix := range []string{":aud", ":sub"} {
				if !hasKey(s.Condition["StringEquals"], suffix) {
					bad("statement %d: every service account of the cluster is let in; %s is missing", i+1, suffix)
				}
			}
		}
		if trust && s.Principal["AWS"] != nil && !hasKey(s.Condition["StringEquals"], "sts:ExternalId") {
			bad("statement %d: another account is let in without an external id", i+1)
		}
	}
	return problems
}

func hasKey(m map[string]words, suffix string) bool {
	for k := range m {
		if strings.HasSuffix(k, suffix) {
			return true
		}
	}
	return false
}

func TestPolicies(t *testing.T) {
	for _, path := range glob(t, "conf/iam/*.json") {
		trust := strings.Contains(path, "/trust-")
		principal := trust || strings.HasSuffix(path, "-stream-policy.json")
		for _, p := range policyProblems([]byte(read(t, path)), trust, principal) {
			t.Errorf("%s: %s", path, p)
		}
	}
}

func TestBrokenPoliciesAreNoticed(t *testing.T) {
	good := read(t, "conf", "iam", "producer.json")
	for old, broken := range map[string]string{
		`"kinesis:PutRecords"`: `"kinesis:PutRecord s"`, `"kinesis:ListShards"`: `"kinesis:*"`, "2012-10-17": "2012-10-71", `"Allow"`: `"Deny"`,
		`"arn:aws:kinesis:eu-west-1:123456789012:stream/logs"`: `"*"`, "stream/logs": "stream/*", "123456789012": "*", `"Resource"`: `"Ressource"`, "],": "]",
	} {
		text := strings.Replace(good, old, broken, 1)
		if text == good || len(policyProblems([]byte(text), false, false)) == 0 {
			t.Errorf("%s instead of %s was not noticed", broken, old)
		}
	}
	ecs := read(t, "conf", "iam", "trust-ecs-task.json")
	for old, broken := range map[string]string{"StringEquals": "StringEqual", "ArnLike": "ArnLikes", "aws:SourceArn": "aws:SourceArm", `"Service"`: `"Services"`} {
		text := strings.Replace(ecs, old, broken, 1)
		if text == ecs || len(policyProblems([]byte(text), true, true)) == 0 {
			t.Errorf("%s instead of %s was not noticed", broken, old)
		}
	}
	irsa := read(t, "conf", "iam", "trust-irsa.json")
	if got := policyProblems([]byte(strings.Replace(irsa, ":sub\"", ":bus\"", 1)), true, true); len(got) == 0 {
		t.Error("a role that every service account can take was not noticed")
	}
}

// The smallest set of a producer is the same wherever it is written down.
func TestProducersHaveTheSameActions(t *testing.T) {
	name := regexp.MustCompile(`kinesis:[A-Z]\w+`)
	for _, path := range []string{"conf/iam/producer.json", "conf/iam/producer-many-streams.json", "conf/iam/cross-account-stream-policy.json", "conf/terraform/main.tf"} {
		got := slices.DeleteFunc(name.FindAllString(read(t, path), -1), func(a string) bool { return slices.Contains(readBackActions, a) })
		slices.Sort(got)
		if !slices.Equal(got, producerActions) {
			t.Errorf("%s: unexpected actions; got %v; want %v", path, got, producerActions)
		}
	}
	for _, path := range []string{"README.md", "docs/iam.md", "docs/migration.md"} {
		text := read(t, path)
		for _, a := range producerActions {
			if !strings.Contains(text, "`"+a+"`") {
				t.Errorf("%s: %s is missing", path, a)
			}
		}
	}
	// They are the calls that the producer makes.
	client := read(t, "core", "client.go")
	for _, a := range producerActions {
		if !strings.Contains(client, "\t"+strings.TrimPrefix(a, "kinesis:")+"(") {
			t.Errorf("core.Client has no %s", a)
		}
	}
}

// What verify_uncertain needs is the same wherever it is written down, and is an option: it is
// in no policy that a producer has without it.
func TestReadBackHasTheSameActionsAsAnOption(t *testing.T) {
	statement := read(t, "conf", "iam", "read-back.json")
	for _, a := range append([]string{"kms:Decrypt"}, readBackActions...) {
		if !strings.Contains(statement, `"`+a+`"`) {
			t.Errorf("conf/iam/read-back.json: %s is missing", a)
		}
	}
	tf := read(t, "conf", "terraform", "main.tf")
	for _, path := range []string{"conf/iam/producer.json", "conf/iam/producer-many-streams.json", "conf/iam/cross-account-stream-policy.json"} {
		for _, a := range append([]string{"kms:Decrypt"}, readBackActions...) {
			if strings.Contains(read(t, path), a) {
				t.Errorf("%s: %s is there without being asked for", path, a)
			}
		}
	}
	_, document, found := strings.Cut(tf, `data "aws_iam_policy_document" "read_back" {`)
	document, _, _ = strings.Cut(document, "\n}\n")
	_, attached, found2 := strings.Cut(tf, `resource "aws_iam_role_policy" "read_back" {`)
	attached, _, _ = strings.Cut(attached, "\n}\n")
	if !found || !found2 || !strings.Contains(attached, "count  = var.verify_uncertain ? 1 : 0") || !strings.Contains(attached, "data.aws_iam_policy_document.read_back.json") {
		t.Error("conf/terraform: read-back is no option")
	}
	for _, a := range append([]string{"kms:Decrypt"}, readBackActions...) {
		if !strings.Contains(document, `"`+a+`"`) || strings.Count(tf, `"`+a+`"`) != 1 {
			t.Errorf("conf/terraform: %s is not in the policy of read-back, or not only there", a)
		}
	}
	_, row, _ := strings.Cut(read(t, "docs", "iam.md"), "## What is called")
	row, _, _ = strings.Cut(row, "\n## ")
	reader := read(t, "core", "internal", "readback", "reader.go") + read(t, "core", "internal", "readback", "call.go")
	for _, a := range readBackActions {
		if !strings.Contains(row, "`"+a+"`") {
			t.Errorf("docs/iam.md: %s is missing among what is called", a)
		}
		if !strings.Contains(reader, "\t"+strings.TrimPrefix(a, "kinesis:")+"(") {
			t.Errorf("readback.API has no %s", a)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/doctor"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/remedy"
)

func TestDoctorPrintsFindingsAndFailsIfOneDoes(t *testing.T) {
	s := newServer(t, 2)
	r := kplcat(t, "", "doctor", stream, "--endpoint", s.URL()).ok(t)
	for _, want := range []string{"ok    kinesis:ListShards             allowed\n", "note  kinesis:PutRecords             not checked: only AWS"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("unexpected output; got\n%s\nwant %q", r.stdout, want)
		}
	}
	if s.Stats().Records != 0 || s.Calls("PutRecords") != 0 {
		t.Error("unexpected write; want none")
	}
	s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("AccessDeniedException", "no")})
	r = kplcat(t, "", "doctor", "--json", "--endpoint", s.URL(), stream)
	if r.code != exitError || r.stderr != "" {
		t.Errorf("unexpected result; got %+v; want code 1", r)
	}
	failed := 0
	for l := range strings.Lines(r.stdout) {
		var f doctor.Finding
		if err := json.Unmarshal([]byte(l), &f); err != nil {
			t.Fatalf("cannot read %q: %s", l, err)
		}
		if f.Level == doctor.Fail {
			failed++
			if f.Check != "kinesis:GetRecords" || f.Advice == "" {
				t.Errorf("unexpected failure; got %+v", f)
			}
		}
	}
	if failed != 1 {
		t.Errorf("unexpected number of failures; got %d; want 1", failed)
	}
	if r := kplcat(t, "", "doctor", "--role", "producer", "--endpoint", s.URL(), stream); r.code != exitOK {
		t.Errorf("unexpected result; got %+v; want that a producer need not read", r)
	}
}

func TestDoctorWritesOneRecordWhereItMay(t *testing.T) {
	for format, used := range map[string]string{"auto": "cbor", "json": "json", "cbor": "cbor"} {
		s := newServer(t, 4)
		r := kplcat(t, "", "doctor", stream, "--endpoint", s.URL(), "--probe-write", "--wire-format", format).ok(t)
		for _, want := range []string{"ok    wire format                    " + used, "ok    probe write                    one record with the partition key kplcat-doctor is in shardId-000000000002", "sent as " + used, "has its hash key\n"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("unexpected output; got\n%s\nwant %q", r.stdout, want)
			}
		}
		if strings.Contains(r.stdout, "not checked") || strings.Contains(r.stdout, "from now on") {
			t.Errorf("unexpected output; got\n%s\nwant nothing of what the probe tells, nor of what comes later", r.stdout)
		}
		if got := s.Records(stream); len(got) != 1 || got[0].PartitionKey != "kplcat-doctor" {
			t.Errorf("unexpected records; got %+v; want one", got)
		}
	}
	s := newServer(t, 1)
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.FailEntries("InternalFailure", "no")})
	if r := kplcat(t, "", "doctor", stream, "--endpoint", s.URL(), "--probe-write"); r.code != exitError || !strings.Contains(r.stdout, "fail  probe write                    InternalFailure: no") {
		t.Errorf("unexpected result of a record that is refused; got %+v", r)
	}
}

func TestDoctorNamesThePermissionThatTheProbeLacks(t *testing.T) {
	s := newServer(t, 1)
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "no")})
	r := kplcat(t, "", "doctor", stream, "--endpoint", s.URL(), "--probe-write")
	if r.code != exitError || !strings.Contains(r.stdout, "fail  kinesis:PutRecords             AccessDeniedException: no") || !strings.Contains(r.stdout, "allow kinesis:PutRecords on") {
		t.Errorf("unexpected result; got %+v", r)
	}
}

// A port that answers without TLS is no fault of an action.
func TestDoctorNamesTheTLSFault(t *testing.T) {
	s := newServer(t, 1)
	r := kplcat(t, "", "doctor", stream, "--endpoint", strings.Replace(s.URL(), "http:", "https:", 1))
	want := "the endpoint does not speak TLS: "
	if r.code != exitError || !strings.Contains(r.stdout, want) || !strings.Contains(r.stdout, "-> begin --endpoint with http://") || strings.Contains(r.stdout, "kinesis:") || !strings.Contains(r.stdout, "\nfail  tls ") {
		t.Errorf("unexpected result %d; got\n%s\nwant 1 and %q of tls alone", r.code, r.stdout, want)
	}
}

func TestDoctorUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                 "0 arguments are given; allowed: one stream",
		"a b":              "2 arguments are given",
		"a --role boss":    `--role: "boss": not one of the allowed words; allowed: both, producer or consumer`,
		"a --follow":       "--follow: no such flag",
		"arn:aws:s3:::x":   "not the name of a stream",
		"bad/name --role=": "not the name of a stream",
	} {
		r := kplcat(t, "", append([]string{"doctor"}, strings.Fields(args)...)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) || !strings.HasSuffix(r.stderr, "\nkplcat doctor --help says more.\n") {
			t.Errorf("unexpected result of %q; got %+v; want %q", args, r, want)
		}
	}
	help := kplcat(t, "", "doctor", "--help").ok(t).stdout
	for _, f := range doctorFlags {
		if !strings.Contains(help, "--"+f.Name) {
			t.Errorf("unexpected help; it has no --%s", f.Name)
		}
	}
}

// An address of STS that is given is asked, beside a fake and AWS_USE_FIPS_ENDPOINT, too.
func TestDoctorAsksTheGivenSTS(t *testing.T) {
	t.Setenv("AWS_USE_FIPS_ENDPOINT", "true")
	calls := 0
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		_, _ = w.Write([]byte(`<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::1:user/u</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`))
	}))
	defer tokens.Close()
	s := newServer(t, 1)
	r := kplcat(t, "", "doctor", "--endpoint", s.URL(), "--sts-endpoint", tokens.URL, stream).ok(t)
	if calls != 1 || !strings.Contains(r.stdout, "arn:aws:sts::1:user/u") {
		t.Errorf("unexpected output; got %d calls, %q; want one, and whose credentials they are", calls, r.stdout)
	}
}

// Advice of the doctor names flags that exist, and variables.
func TestRemediesNameFlagsOfTheDoctor(t *testing.T) {
	known := map[string]bool{}
	for _, s := range option.Specs(doctorFlags) {
		known["--"+s.Name] = true
	}
	for _, k := range []remedy.Kind{
		remedy.NoCredentials, remedy.SourceOutOfReach, remedy.RoleRefused, remedy.Clock, remedy.WrongRegion, remedy.Expired, remedy.UnknownKey, remedy.WrongSignature,
		remedy.HeadersLost, remedy.NotSubscribed, remedy.UnknownAuthority, remedy.WrongCertificate, remedy.NotTLS, remedy.DNS, remedy.ConnRefused,
		remedy.Unreachable, remedy.Reset, remedy.Timeout, remedy.NoAnswer, remedy.ProxyLogin, remedy.ForeignAnswer, remedy.ProxyAddress, remedy.NoRegion,
	} {
		for _, o := range remedy.Of(k).Options() {
			if name := remedy.Command(o); strings.HasPrefix(name, "--") && !known[name] {
				t.Errorf("%s: unexpected flag %s; want one of kplcat doctor", k, name)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/doctor"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/plural"
)

const doctorHead = `kplcat doctor looks at all that is between this program and a Kinesis stream, and says
what to do: endpoint, proxy, name, connection, credentials, permissions for each IAM
action, clock, stream, shards, wire format. It writes no record, but with --probe-write.

Usage:
  kplcat doctor [flags] STREAM

`

const doctorTail = `
Findings are ok, note (worth knowing, or not checked), warn (works, but not well or
not for long) or fail (does not work).

PutRecords is checked by a dry run, on AWS itself only: other servers do not know dry
runs and would store the record. GetRecords is called once at the tip of one shard.
--probe-write writes one record of 26 bytes with the partition key kplcat-doctor, which consumers will see.

Exit codes: 0 nothing failed; 1 something did; 2 the command line is wrong.
`

// runDoctor is kplcat doctor.
func runDoctor(ctx context.Context, args []string, stdout io.Writer) (int, error) {
	o := &options{}
	_, rest, problems := option.ReadArgs(doctorFlags, args, o)
	switch {
	case len(problems) > 0:
	case o.help:
		return exitOK, writeString(stdout, doctorHead+option.Help(option.Specs(doctorFlags))+doctorTail)
	case o.version:
		return exitOK, writeString(stdout, version()+"\n")
	}
	if len(rest) == 1 {
		problems = append(problems, o.setStream(rest[0])...)
	} else {
		problems = append(problems, &option.Problem{What: plural.Count(len(rest), "argument") + " " + plural.Verb(len(rest), "is", "are") + " given", Allowed: "one stream, by name or ARN"})
	}
	if err := asUsage(problems, " doctor"); err != nil {
		return exitUsage, err
	}
	shared, err := awsclient.Load(ctx, o.client())
	if err != nil {
		return exitError, printFindings(stdout, []doctor.Finding{unusableSettings(err)}, o.json)
	}
	client, ok := shared.Kinesis().(doctor.Client)
	if !ok {
		return exitError, errors.New("cannot examine: the Kinesis client does not say its settings")
	}
	c := doctor.Config{Client: client, Stream: o.stream, ARN: o.arn, Role: doctor.Role(o.role), ProbeWrite: o.probeWrite}
	if w, ok := client.(interface {
		WireFormat() awsclient.WireFormat
	}); ok {
		c.WireFormat = func() string { return string(w.WireFormat()) }
	}
	if client.Options().BaseEndpoint == nil || o.aws.STSEndpoint != "" {
		if c.Identity, err = identity(shared, o.aws.STSEndpoint); err != nil {
			return exitError, err
		}
	}
	findings := doctor.Examine(ctx, c)
	if err := ctx.Err(); err != nil {
		return exitError, errors.New("interrupted")
	}
	if err := printFindings(stdout, findings, o.json); err != nil {
		return exitError, err
	}
	for _, f := range findings {
		if f.Level == doctor.Fail {
			return exitError, nil
		}
	}
	return exitOK, nil
}

// unusableSettings is what is found if there are no settings to go on with.
func unusableSettings(err error) doctor.Finding {
	f := doctor.Finding{Check: "settings", Level: doctor.Fail, Detail: err.Error()}
	if errors.Is(err, awsclient.ErrNoRegion) {
		f.Check, f.Detail = "region", "none is set, so nothing can be called"
		f.Advice = setRegion
	}
	return f
}

// identity asks STS with the settings and credentials of the Kinesis client.
func identity(shared *awsclient.AWS, endpoint string) (func(context.Context) (string, error), error) {
	var err error
	client := sts.NewFromConfig(shared.Config(), func(o *sts.Options) {
		err = shared.Address(sts.ServiceID, endpoint, &o.BaseEndpoint, &o.EndpointOptions.UseFIPSEndpoint, &o.EndpointOptions.UseDualStackEndpoint)
		o.Retryer = aws.NopRetryer{}
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.Arn), nil
	}, nil
}

func printFindings(w io.Writer, findings []doctor.Finding, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, f := range findings {
			if err := e.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", f.Level, width, f.Check, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(&b, "%*s  -> %s\n", width+6, "", f.Advice)
		}
	}
	return writeString(w, b.String())
}

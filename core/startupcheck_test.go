// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// problems takes the error of Check apart.
func problems(t *testing.T, err error) (list []*core.CheckError) {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("unexpected error %v; want joined problems", err)
	}
	for _, e := range joined.Unwrap() {
		var c *core.CheckError
		if !errors.As(e, &c) {
			t.Fatalf("unexpected problem %v", e)
		}
		list = append(list, c)
	}
	return list
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	deny := func(operations ...string) (list []kinesistest.Fault) {
		for _, o := range operations {
			list = append(list, kinesistest.Fault{Operation: o, Effect: kinesistest.Fail("AccessDeniedException", "not authorized")})
		}
		return list
	}
	fail := func(operation, code string) []kinesistest.Fault {
		return []kinesistest.Fault{{Operation: operation, Effect: kinesistest.Fail(code, "no")}}
	}
	type want struct {
		action, text        string
		temporary, optional bool
	}
	for _, c := range []struct {
		name   string
		stream string
		faults []kinesistest.Fault
		want   []want
	}{
		{name: "nothing is wrong"},
		{name: "may not put", faults: deny("PutRecords"), want: []want{{action: "kinesis:PutRecords"}}},
		{name: "may do nothing", faults: deny(""), want: []want{
			{action: "kinesis:ListShards", optional: true}, {action: "kinesis:DescribeStreamSummary", optional: true}, {action: "kinesis:PutRecords"},
		}},
		{name: "may not describe", faults: deny("DescribeStreamSummary"), want: []want{{action: "kinesis:DescribeStreamSummary", optional: true}}},
		{name: "may not use the key", faults: fail("PutRecords", "KMSAccessDeniedException"), want: []want{{action: "kms:GenerateDataKey", text: "missing on the stream's key"}}},
		{name: "no such stream", stream: "nowhere", want: []want{{text: "no such stream"}}},
		{name: "wrong secret", faults: fail("", "InvalidSignatureException"), want: []want{{text: "does not accept the credentials"}}},
		{name: "expired credentials", faults: fail("", "ExpiredTokenException"), want: []want{{text: "does not accept the credentials", temporary: true}}},
		{name: "no answer", faults: []kinesistest.Fault{{Effect: kinesistest.Effect{Hang: true}}}, want: []want{{text: "no answer in time", temporary: true}}},
		{name: "busy", faults: fail("PutRecords", "LimitExceededException")},
		{name: "too many ask at one time", faults: fail("DescribeStreamSummary", "LimitExceededException")},
		{name: "throttled", faults: fail("PutRecords", "ProvisionedThroughputExceededException")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				for _, f := range c.faults {
					s.Fault(f)
				}
				p := newProducer(t, s.Client())
				name := c.stream
				if name == "" {
					name = s.ARN(stream)
				}
				got := problems(t, p.Check(context.Background(), name))
				if len(got) != len(c.want) {
					t.Fatalf("unexpected problems %v; want %d", got, len(c.want))
				}
				for i, w := range c.want {
					if g := got[i]; g.Action != w.action || !strings.Contains(g.Error(), w.action) || !strings.Contains(g.Error(), w.text) ||
						g.Temporary != w.temporary || g.Optional != w.optional {
						t.Errorf("unexpected problem %+v; want %+v", *g, w)
					}
				}
				if n := len(s.Records(stream)); n != 0 {
					t.Errorf("unexpected records written by the check; got %d; want 0", n)
				}
			})
		})
	}
}

// oldClient is a server that has never heard of DryRun.
type oldClient struct{ core.Client }

func (c oldClient) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	old := *in
	old.DryRun = nil
	return c.Client.PutRecords(ctx, &old, opts...)
}

func TestCheckWritesNothingToServersWithoutDryRun(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	p := newProducer(t, oldClient{s.Client()})
	if err := p.Check(context.Background(), stream); err != nil {
		t.Errorf("unexpected problem: %v", err)
	}
	if n := len(s.Records(stream)); n != 0 {
		t.Errorf("unexpected records written by the check; got %d; want 0", n)
	}
}

func TestCheckOnAnAutoStreamAndOneInTheMaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithCreateTime(time.Minute), kinesistest.WithStream(stream, 2))
		distribute(t, s, auto, 0)
		p := newProducer(t, s.Client())
		if err := p.Check(context.Background(), stream); err != nil || len(s.Records(stream)) != 0 {
			t.Errorf("unexpected outcome on an AUTO stream: %v, %d records", err, len(s.Records(stream)))
		}
		name, two := "young", int32(2)
		if _, err := s.Client().CreateStream(context.Background(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &two}); err != nil {
			t.Fatal(err)
		}
		got := problems(t, p.Check(context.Background(), name))
		if len(got) == 0 || !strings.Contains(errors.Join(got[0]).Error(), string(types.StreamStatusCreating)) && got[0].Code != "ResourceInUseException" && !strings.Contains(got[0].Error(), "no such stream") {
			t.Errorf("unexpected problems %v; want that the stream is being created", got)
		}
	})
}

func TestCheckEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Effect: kinesistest.Effect{Hang: true}})
		p := newProducer(t, s.Client())
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Check(ctx, stream); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unexpected error %v; want the context's", err)
		}
		if err := p.Check(context.Background(), "no/name"); err == nil {
			t.Error("unexpected success for a name that is none")
		}
	})
}

// A program that starts says what it cannot do before it takes any record.
func ExampleProducer_Check() {
	s := kinesistest.New(kinesistest.WithStream("logs", 2))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "not authorized")})
	p, err := core.New(s.Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = p.Close(context.Background()) }()
	fmt.Println(p.Check(context.Background(), "logs"))
	// Output: cannot use stream logs: PutRecords: IAM action kinesis:PutRecords is missing on the stream (AccessDeniedException); allow kinesis:PutRecords on the stream, in the IAM policy of the role or user, and if they exist in the stream's resource policy, the VPC endpoint's policy, permission boundaries and service control policies
}

// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	library "github.com/aws/smithy-go/encoding/cbor"

	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/cbor"
	"github.com/outkpl/outkpl/internal/testkit"
)

const json200 = `{"Shards":[]}`

// TestWhatTheAnswerToAProbeMeans has each sign: what the call returns, which calls it takes,
// in which format records go afterwards, and in which the next probe.
func TestWhatTheAnswerToAProbeMeans(t *testing.T) {
	alone(t)
	const twice = "ListShards cbor, ListShards json"
	for name, c := range map[string]struct {
		spoil        func(http.ResponseWriter, string, bool) bool
		code         string // of the call
		calls        string
		put          string // format of records afterwards
		next         string // calls of the next probe, at once
		afterAnHour  string
		inJSONFailed string // code of the answer in JSON
	}{
		"CBOR":                             {nil, "", "ListShards cbor", "cbor", "DescribeStreamSummary cbor", "", ""},
		"status 415":                       {answer(415, "", ""), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"UnknownOperationException":        {answer(400, inJSON, `{"__type":"UnknownOperationException"}`), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"SerializationException":           {answer(400, inJSON, `{"__type":"com.amazon.coral.service#SerializationException"}`), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"SerializationException in CBOR":   {answer(400, cbor.ContentType, codeInCBOR("SerializationException")), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"throttle":                         {answer(400, inJSON, `{"__type":"LimitExceededException"}`), "LimitExceededException", "ListShards cbor", "json", "DescribeStreamSummary cbor", "", ""},
		"throttle in CBOR":                 {answer(400, cbor.ContentType, codeInCBOR("LimitExceededException")), "LimitExceededException", "ListShards cbor", "cbor", "DescribeStreamSummary cbor", "", ""},
		"AccessDenied":                     {answer(400, inJSON, `{"__type":"AccessDeniedException"}`), "AccessDeniedException", "ListShards cbor", "json", "DescribeStreamSummary cbor", "", ""},
		"AccessDenied in CBOR":             {answer(400, cbor.ContentType, codeInCBOR("com.amazonaws.kinesis#AccessDeniedException:http://x")), "AccessDeniedException", "ListShards cbor", "cbor", "DescribeStreamSummary cbor", "", ""},
		"expired credentials":              {answer(400, inJSON, `{"__type":"ExpiredTokenException"}`), "ExpiredTokenException", "ListShards cbor", "json", "DescribeStreamSummary cbor", "", ""},
		"page of a proxy":                  {answer(503, "text/html", "<html>"), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"page of a proxy, status 200":      {answer(200, "text/html", "<html>"), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"page of a proxy, also for JSON":   {answer(503, "text/html", "<html>"), "InternalFailure", twice, "json", "DescribeStreamSummary cbor, DescribeStreamSummary json", "", "InternalFailure"},
		"status 500 of a parser":           {answer(500, inJSON, `{"__type":"InternalError","message":"utf-8"}`), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"status 404, as of old":            {answer(404, "", "<UnknownOperationException/>\n"), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"JSON, status 200":                 {answer(200, inJSON, json200), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"CBOR that is cut off":             {answer(200, cbor.ContentType, "\xa1\x66Sh"), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
		"CBOR of an error that is cut off": {answer(400, cbor.ContentType, "\xa1\x66__"), "", twice, "json", "DescribeStreamSummary json", "DescribeStreamSummary cbor", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t)
			e.setSpoil(func(w http.ResponseWriter, operation string, inCBOR bool) bool {
				if c.inJSONFailed != "" && !inCBOR && operation != "PutRecords" {
					w.WriteHeader(500)
					_, _ = fmt.Fprintf(w, `{"__type":%q}`, c.inJSONFailed)
					return true
				}
				return c.spoil != nil && c.spoil(w, operation, inCBOR)
			})
			client := newFormat(t, e.url, awsclient.WireAuto)
			now := time.Now()
			awsclient.SetClock(client, func() time.Time { return now })
			if err := putOne(t, client); err != nil { // before anything is known
				t.Fatal(err)
			}
			if got := strings.Join(e.take(), ", "); got != "PutRecords json" {
				t.Errorf("unexpected first call; got %s", got)
			}
			if got := code(listShards(t, client)); got != c.code {
				t.Errorf("unexpected outcome; got %q; want %q", got, c.code)
			}
			if got := strings.Join(e.take(), ", "); got != c.calls {
				t.Errorf("unexpected calls; got %s; want %s", got, c.calls)
			}
			want := "PutRecords " + c.put
			if c.put == "cbor" {
				e.setSpoil(nil)
			}
			if err := putOne(t, client); err != nil {
				t.Error(err)
			}
			if got := strings.Join(e.take(), ", "); got != want || string(client.WireFormat()) != c.put {
				t.Errorf("unexpected format of records; got %s, %s; want %s", got, client.WireFormat(), want)
			}
			now = now.Add(time.Hour - time.Second)
			if err := describe(t, client); err != nil && c.code == "" {
				t.Error(err)
			}
			if got := strings.Join(e.take(), ", "); got != c.next {
				t.Errorf("unexpected next probe; got %s; want %s", got, c.next)
			}
			if c.afterAnHour == "" {
				return
			}
			now = now.Add(time.Second)
			e.setSpoil(nil)
			if err := describe(t, client); err != nil {
				t.Error(err)
			}
			if got := strings.Join(e.take(), ", "); got != c.afterAnHour {
				t.Errorf("unexpected probe after an hour; got %s; want %s", got, c.afterAnHour)
			}
			if err := putOne(t, client); err != nil || client.WireFormat() != awsclient.WireCBOR {
				t.Errorf("unexpected format after an hour; got %s, %v; want cbor", client.WireFormat(), err)
			}
		})
	}
}

// A server that is thrown by CBOR may not answer at all.
func TestProbeWithoutAnswerIsFollowedByACallInJSON(t *testing.T) {
	alone(t)
	e := newEndpoint(t)
	e.setSpoil(func(w http.ResponseWriter, _ string, inCBOR bool) bool {
		if inCBOR {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	client := newFormat(t, e.url, awsclient.WireAuto)
	if err := listShards(t, client); err == nil {
		t.Error("unexpected success of a call that was cut off")
	}
	if err := listShards(t, client); err != nil {
		t.Errorf("unexpected error of the second call: %v", err)
	}
	e.setSpoil(nil)
	if err := errors.Join(listShards(t, client), putOne(t, client)); err != nil || client.WireFormat() != awsclient.WireCBOR {
		t.Errorf("unexpected format; got %s, %v; want cbor, since an outage says nothing", client.WireFormat(), err)
	}
}

// What was not sent says nothing.
func TestProbeThatWasNotSentSaysNothing(t *testing.T) {
	alone(t)
	e := newEndpoint(t)
	client := newFormat(t, "http://"+testkit.FreeAddress(t), awsclient.WireAuto)
	if err := listShards(t, client); err == nil {
		t.Fatal("unexpected success")
	}
	to := func(o *kinesis.Options) { o.BaseEndpoint = &e.url }
	if _, err := client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("logs")}, to); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(e.take(), ", "); got != "ListShards cbor" {
		t.Errorf("unexpected calls; got %s; want a probe", got)
	}
}

// Once CBOR was answered, a refusal costs its call, and no more. Reads are made again in
// JSON; a write never is.
func TestNothingTurnsAnEndpointToJSONAfterCBOR(t *testing.T) {
	alone(t)
	for _, refused := range []string{"SerializationException", "UnknownOperationException"} {
		e := newEndpoint(t)
		client := newFormat(t, e.url, awsclient.WireAuto)
		if err := listShards(t, client); err != nil {
			t.Fatal(err)
		}
		e.setSpoil(answer(400, cbor.ContentType, codeInCBOR(refused)))
		e.take()
		if got := code(putOne(t, client)); got != refused {
			t.Errorf("unexpected outcome; got %q; want %s", got, refused)
		}
		if err := errors.Join(listShards(t, client), describe(t, client)); err != nil {
			t.Error(err)
		}
		want := "PutRecords cbor, ListShards cbor, ListShards json, DescribeStreamSummary cbor, DescribeStreamSummary json"
		if got := strings.Join(e.take(), ", "); got != want || client.WireFormat() != awsclient.WireCBOR {
			t.Errorf("unexpected calls; got %s, then %s; want %s", got, client.WireFormat(), want)
		}
	}
}

// Both probes may be under way: what one has shown the other does not take back.
func TestRefusedProbeBesideOneThatWasAnsweredInCBOR(t *testing.T) {
	alone(t)
	e := newEndpoint(t)
	client := newFormat(t, e.url, awsclient.WireAuto)
	e.setSpoil(func(w http.ResponseWriter, operation string, inCBOR bool) bool {
		if operation != "DescribeStreamSummary" || !inCBOR {
			return false
		}
		if err := listShards(t, client); err != nil {
			t.Error(err)
		}
		return answer(415, "", "")(w, operation, inCBOR)
	})
	if err := errors.Join(describe(t, client), putOne(t, client)); err != nil {
		t.Error(err)
	}
	want := "DescribeStreamSummary cbor, ListShards cbor, DescribeStreamSummary json, PutRecords cbor"
	if got := strings.Join(e.take(), ", "); got != want {
		t.Errorf("unexpected calls; got %s; want %s", got, want)
	}
}

// kinesalite has dates in seconds, and makes JSON that nobody can read out of data that come
// in CBOR. ListShards, which has no dates, does not show it.
func TestDatesInSecondsAreNotTheCBOROfKinesis(t *testing.T) {
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprintf("the list of shards comes first %v", first), func(t *testing.T) { testDatesInSeconds(t, first) })
	}
}

func testDatesInSeconds(t *testing.T, listFirst bool) {
	alone(t)
	e := newEndpoint(t)
	client := newFormat(t, e.url, awsclient.WireAuto)
	now := time.Now()
	awsclient.SetClock(client, func() time.Time { return now })
	summary := library.Map{"StreamDescriptionSummary": library.Map{"StreamName": library.String("logs"), "StreamCreationTimestamp": library.Uint(now.Unix())}}
	during := make(chan string, 1)
	summarize := func(w http.ResponseWriter, operation string, inCBOR bool) bool {
		if operation != "DescribeStreamSummary" || !inCBOR {
			return false
		}
		// The other probe is answered while this one is under way.
		if !listFirst {
			if err := listShards(t, client); err != nil {
				t.Error(err)
			}
		}
		during <- string(client.WireFormat())
		return answer(200, cbor.ContentType, string(library.Encode(summary)))(w, operation, inCBOR)
	}
	if listFirst {
		// An error in CBOR has no dates either.
		e.setSpoil(answer(400, cbor.ContentType, codeInCBOR("ResourceNotFoundException")))
		if got := code(describe(t, client)); got != "ResourceNotFoundException" {
			t.Fatalf("unexpected outcome; got %q", got)
		}
		e.setSpoil(nil)
		if err := listShards(t, client); err != nil || client.WireFormat() != awsclient.WireCBOR {
			t.Fatalf("unexpected format after ListShards; got %s, %v; want cbor", client.WireFormat(), err)
		}
	}
	e.setSpoil(summarize)
	if err := describe(t, client); err != nil {
		t.Fatal(err)
	}
	if got := <-during; got != "json" {
		t.Errorf("unexpected format while a probe is under way; got %s; want json", got)
	}
	for range 3 {
		now = now.Add(2 * time.Hour)
		if err := errors.Join(listShards(t, client), putOne(t, client)); err != nil || client.WireFormat() != awsclient.WireJSON {
			t.Errorf("unexpected format; got %s, %v; want json", client.WireFormat(), err)
		}
	}
}

func TestFormatThatIsSetIsNotAskedFor(t *testing.T) {
	alone(t)
	for format, want := range map[awsclient.WireFormat]string{
		awsclient.WireJSON: "PutRecords json, ListShards json", awsclient.WireCBOR: "PutRecords cbor, ListShards cbor",
	} {
		e := newEndpoint(t)
		client := newFormat(t, e.url, format)
		if err := errors.Join(putOne(t, client), listShards(t, client)); err != nil {
			t.Error(err)
		}
		if got := strings.Join(e.take(), ", "); got != want {
			t.Errorf("unexpected calls; got %s; want %s", got, want)
		}
	}
	if _, err := awsclient.New(t.Context(), awsclient.Config{Region: "us-east-1", WireFormat: "xml"}); err == nil ||
		!strings.Contains(err.Error(), `wire format "xml" is not known; allowed: auto, cbor, json`) {
		t.Errorf("unexpected error of a format that is none: %v", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/outkpl/outkpl/core"
)

// WireFormat is how requests are written.
type WireFormat string

// The formats. Answers are read in whatever format they are.
const (
	// WireAuto is CBOR where the endpoint has shown that it knows it, else JSON.
	WireAuto WireFormat = "auto"
	// WireCBOR is application/x-amz-cbor-1.1.
	WireCBOR WireFormat = "cbor"
	// WireJSON is application/x-amz-json-1.1.
	WireJSON WireFormat = "json"
)

// WireFormats are all of them.
func WireFormats() []string { return []string{string(WireAuto), string(WireCBOR), string(WireJSON)} }

// negotiation chooses the format for an endpoint. ListShards and DescribeStreamSummary,
// which may be repeated without harm and come before the first record, are sent in CBOR as
// probes. Only an answer in CBOR, be it an error, lets all other calls go in CBOR.
type negotiation struct {
	json, cbor wire
	want       WireFormat
	now        func() time.Time
	logger     *slog.Logger // or nil

	mu     sync.Mutex // guards what follows
	state  wireState
	again  time.Time // in stateJSON: when to probe again; the zero time is never
	probes int       // under way
	// proven says that a summary was answered in CBOR, and its dates were not in seconds. Until
	// then it is a probe even if ListShards, which has no dates, has shown CBOR.
	proven bool
	// skipProbe is set after a probe without an answer: the next call goes in JSON, in case the
	// probe itself is what cannot be answered.
	skipProbe bool
}

type wireState uint8

const (
	stateUnknown wireState = iota
	stateCBOR
	stateJSON
)

// probeEvery is how long an endpoint that does not know CBOR is not asked again.
const probeEvery = time.Hour

func newNegotiation(c *Config, sdk wire) *negotiation {
	return &negotiation{json: sdk, cbor: cborWire{}, want: c.WireFormat, now: time.Now, logger: c.Logger}
}

// attempt is one attempt of a call whose format does not depend on what is known.
type attempt struct {
	wire    wire
	status  int  // 0: no answer
	inCBOR  bool // the answer was, and could be read
	seconds bool // it had dates in seconds
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	x, _ := ctx.Value(attemptKey{}).(*attempt)
	return x
}

func (x *attempt) saw(status int) {
	if x != nil {
		x.status = status
	}
}

// answered notes an answer in CBOR that could be read.
func (x *attempt) answered(seconds bool) {
	if x != nil {
		x.inCBOR, x.seconds = true, seconds
	}
}

// choose returns the format of a request.
func (n *negotiation) choose(ctx context.Context) wire {
	if x := attemptOf(ctx); x != nil {
		return x.wire
	}
	if n.current() == WireCBOR {
		return n.cbor
	}
	return n.json
}

// current is the format of calls that are no probes. While a probe is under way it is
// JSON, since its answer may show that what seemed to be CBOR is not that of Kinesis.
func (n *negotiation) current() WireFormat {
	if n.want != WireAuto {
		return n.want
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == stateCBOR && n.probes == 0 {
		return WireCBOR
	}
	return WireJSON
}

func (n *negotiation) knowsCBOR() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state == stateCBOR
}

// begin tells whether a call, the one for a summary or another, is to be a probe.
func (n *negotiation) begin(summary bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.state == stateCBOR && (n.proven || !summary), n.state == stateJSON && (n.again.IsZero() || n.now().Before(n.again)):
		return false
	case n.skipProbe && n.state != stateCBOR:
		n.skipProbe = false
		return false
	}
	n.probes++
	return true
}

// finding is what the outcome of a probe says.
type finding uint8

const (
	saysNothing  finding = iota
	saysCBOR             // the endpoint knows CBOR
	saysJSON             // it does not
	saysSeconds          // it has CBOR of another kind
	saysNoAnswer         // there was no answer
	unclear              // the same in JSON tells more
)

// classifyProbe says what the outcome of a probe means.
func classifyProbe(x *attempt, err error) finding {
	var api smithy.APIError
	code := ""
	if errors.As(err, &api) && api.ErrorCode() != codeUnknown {
		code = api.ErrorCode()
	}
	var op *net.OpError
	switch {
	case x.status == 0 && errors.As(err, &op) && op.Op == "dial":
		return saysNothing
	case x.status == 0:
		return saysNoAnswer
	case x.status == http.StatusUnsupportedMediaType, code == "UnknownOperationException", code == "SerializationException":
		return saysJSON
	case x.inCBOR && x.seconds:
		return saysSeconds
	case x.inCBOR:
		return saysCBOR
	case isThrottle(code), core.RefusesCredentials(code), code == "AccessDeniedException", code == "AccessDenied",
		code == "ServiceUnavailable", code == "ServiceUnavailableException":
		return saysNothing // and no reason to call again at once
	}
	return unclear
}

func isThrottle(code string) bool {
	switch code {
	case "LimitExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException",
		"ProvisionedThroughputExceededException":
		return true
	}
	return false
}

// end notes what a probe has said. Once an endpoint knows CBOR, only dates in seconds speak
// against it: such a server (kinesalite) stores bytes as something that readers of JSON
// cannot read.
func (n *negotiation) end(v finding, proves bool, why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.probes--
	before := n.state
	switch v {
	case saysCBOR:
		if before != stateJSON || !n.again.IsZero() {
			n.state, n.proven = stateCBOR, n.proven || proves
		}
	case saysSeconds:
		n.state, n.again = stateJSON, time.Time{}
	case saysJSON:
		if before == stateCBOR || before == stateJSON && n.again.IsZero() {
			return
		}
		n.state, n.again = stateJSON, n.now().Add(probeEvery)
	case saysNoAnswer:
		n.skipProbe = true
	case saysNothing, unclear:
	}
	if n.state == before || n.logger == nil {
		return
	}
	switch {
	case n.state == stateCBOR:
		n.logger.Debug("Kinesis answers in CBOR; calls go in CBOR from now on")
	case v == saysSeconds:
		n.logger.Info("the endpoint answers in CBOR, but not in that of Kinesis: dates are in seconds; calls go in JSON")
	default:
		n.logger.Info("the endpoint does not know CBOR; calls go in JSON", "answer", why, "asked_again_in", probeEvery)
	}
}

// register puts the negotiation around each call.
func (n *negotiation) register(s *middleware.Stack) error {
	return s.Initialize.Add(middleware.InitializeMiddlewareFunc("outkpl:WireFormat", n.call), middleware.Before)
}

// call makes a call, twice if the first was a probe that was not understood.
func (n *negotiation) call(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	if n.want != WireAuto || !isRead(in.Parameters) {
		return next.HandleInitialize(ctx, in)
	}
	_, summary := in.Parameters.(*kinesis.DescribeStreamSummaryInput)
	if !isProbe(in.Parameters) || !n.begin(summary) {
		if n.current() == WireJSON {
			return n.inJSON(ctx, in, next)
		}
		x := &attempt{wire: n.cbor}
		out, md, err := next.HandleInitialize(context.WithValue(ctx, attemptKey{}, x), in)
		if classifyProbe(x, err) == saysJSON { // for this call; see end
			return n.inJSON(ctx, in, next)
		}
		return out, md, err
	}
	x := &attempt{wire: n.cbor}
	v, why := saysNoAnswer, ""
	shown := false                          // a summary, with its dates
	defer func() { n.end(v, shown, why) }() // also if something panics
	out, md, err := next.HandleInitialize(context.WithValue(ctx, attemptKey{}, x), in)
	v, why, shown = classifyProbe(x, err), "HTTP status "+strconv.Itoa(x.status), summary && err == nil
	var api smithy.APIError
	if errors.As(err, &api) {
		why = cmp.Or(api.ErrorCode(), why)
	}
	if v != saysJSON && (v != unclear || n.knowsCBOR()) {
		return out, md, err
	}
	out, md, err = n.inJSON(ctx, in, next)
	if v == unclear && err == nil {
		v = saysJSON
	}
	return out, md, err
}

func (n *negotiation) inJSON(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	return next.HandleInitialize(context.WithValue(ctx, attemptKey{}, &attempt{wire: n.json}), in)
}

// isProbe tells whether a call may be a probe: an answer tells nothing new, and it is made
// anyway before records are sent.
func isProbe(in any) bool {
	switch in.(type) {
	case *kinesis.ListShardsInput, *kinesis.DescribeStreamSummaryInput:
		return true
	}
	return false
}

// isRead tells whether a call may be made twice.
func isRead(in any) bool {
	switch in.(type) {
	case *kinesis.GetRecordsInput, *kinesis.GetShardIteratorInput, *kinesis.DescribeStreamInput, *kinesis.ListStreamsInput:
		return true
	}
	return isProbe(in)
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/outkpl/outkpl/internal/plural"
	"github.com/outkpl/outkpl/vector/internal/body"
)

// problem is the body of an answer that is not 200.
type problem struct {
	Error     string `json:"error"`
	Reason    string `json:"reason"`
	RequestID string `json:"request_id"`
}

// answer is a complete answer, before it is written.
type answer struct {
	status      int
	reason      Reason
	contentType string
	body        []byte
	grpcCode    int // over gRPC, as the next two
	grpcText    string
	grpcDetails []byte // a google.rpc.Status, or nothing
	grpcRetry   []byte // the google.rpc.RetryInfo in it
	retryAfter  time.Duration
	close       bool
}

// answerFor makes the answer to a request from its outcome: f or, if that is nil, ok.
func (q *request) answerFor(ok success, f *failure) *answer {
	a := &answer{status: http.StatusOK, contentType: "application/json"}
	var text string
	if f != nil {
		a.status, a.reason, a.close, text = f.status, f.reason, f.close, f.text
		if f.status == http.StatusServiceUnavailable {
			a.retryAfter = time.Second
			if q.route != nil {
				a.retryAfter = q.route.RetryAfter
			}
		}
	}
	if q.protocol.grpc() {
		q.grpcAnswer(a, ok, f)
		return a
	}
	if q.otlp != otlpNone {
		a.contentType, a.body = q.otlp.answer(ok, f)
		return a
	}
	var v any = ok
	if f != nil {
		v = problem{Error: text, Reason: f.reason.String(), RequestID: q.id}
	}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // a->b is for people to read
	if err := e.Encode(v); err != nil {
		body.WriteString("{}\n") // cannot happen: numbers and text only
	}
	a.body = body.Bytes()
	return a
}

// grpcAnswer is the answer in the form of gRPC.
func (q *request) grpcAnswer(a *answer, ok success, f *failure) {
	a.contentType = grpcContentType
	switch {
	case f != nil:
		a.grpcCode, a.grpcText = int(codeOf(f.status)), f.text
		if a.retryAfter > 0 {
			a.grpcDetails, a.grpcRetry = retryInfo(a.grpcCode, a.grpcText, a.retryAfter)
		}
	case q.protocol == protocolOTLP:
		_, message := otlpProto.answer(ok, nil)
		a.body = frame(message)
	default:
		a.body = frame(nil) // PushEventsResponse has no fields
	}
}

// otlpForm is how a client of OTLP wants its answer: as it sent its request
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp-response, checked 2026-11-24).
type otlpForm uint8

const (
	otlpNone otlpForm = iota
	otlpProto
	otlpJSON
)

func otlpFormOf(rt *route, r *http.Request) otlpForm {
	switch rt.Format {
	case "otlp":
	case "auto":
		// As the body will be read. A type that is refused is OTLP's if the path is.
		f, err := body.FormatOf(r.Header.Get("Content-Type"), r.URL.Path)
		onPath := strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), otlpPath)
		if !onPath && (err != nil || f != body.FormatOTLPProto) {
			return otlpNone
		}
	default:
		return otlpNone
	}
	if strings.Contains(strings.ToLower(r.Header.Get("Content-Type")), "json") {
		return otlpJSON
	}
	return otlpProto
}

// answer makes the answer's message. Events that were dropped are a partial success,
// which tells the client not to send them again.
func (o otlpForm) answer(ok success, f *failure) (contentType string, body []byte) {
	var m proto.Message
	if f != nil {
		m = &status.Status{Code: int32(codeOf(f.status)), Message: f.text}
	} else {
		res := &collogs.ExportLogsServiceResponse{}
		if ok.Dropped > 0 {
			res.PartialSuccess = &collogs.ExportLogsPartialSuccess{
				RejectedLogRecords: int64(ok.Dropped),
				ErrorMessage:       plural.Count(ok.Dropped, "log record") + " can never be stored and " + plural.Verb(ok.Dropped, "was", "were") + " dropped",
			}
		}
		m = res
	}
	if o == otlpJSON {
		b, err := protojson.Marshal(m)
		if err != nil {
			b = []byte("{}") // cannot happen: all text is valid UTF-8
		}
		return "application/json", b
	}
	b, err := proto.Marshal(m)
	if err != nil {
		b = nil
	}
	return "application/x-protobuf", b
}

func codeOf(httpStatus int) code.Code {
	switch httpStatus {
	case http.StatusUnauthorized:
		return code.Code_UNAUTHENTICATED
	case http.StatusForbidden:
		return code.Code_PERMISSION_DENIED
	case http.StatusNotFound:
		return code.Code_NOT_FOUND
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		return code.Code_UNIMPLEMENTED
	case http.StatusServiceUnavailable:
		return code.Code_UNAVAILABLE
	default:
		return code.Code_INVALID_ARGUMENT
	}
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"net/http"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// otlpServices is what the names of OTLP's services begin with, and otlpPush the method for
// logs (https://opentelemetry.io/docs/specs/otlp/#otlpgrpc, checked 2026-11-29).
const (
	otlpServices = "/opentelemetry.proto.collector."
	otlpPush     = otlpServices + "logs.v1.LogsService/Export"
)

// serveOTLP dispatches by method.
func (s *Server) serveOTLP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != otlpPush {
		s.unknownMethod(w, r, "otlp_grpc.listen")
		return
	}
	s.serveRequest(&request{w: w, r: r, protocol: protocolOTLP})
}

// unknownMethod answers a method that the listener of an option does not have.
func (s *Server) unknownMethod(w http.ResponseWriter, r *http.Request, option string) {
	speaks := speaksOf(r)
	s.notServed(option, r.RemoteAddr, speaks)
	writeGRPC(w, &answer{grpcCode: grpcUnimplemented, grpcText: speaks + " is not taken at " + option + "; want " + s.want(option, speaks)})
}

// speaksOf names what a request over gRPC is.
func speaksOf(r *http.Request) string {
	method := r.URL.Path
	signal, isOTLP := strings.CutPrefix(method, otlpServices)
	switch {
	case method == otlpPush:
		return speaksOTLP
	case strings.HasPrefix(method, "/vector.Vector/"):
		return speaksVector
	case isOTLP:
		signal, _, _ = strings.Cut(signal, ".")
		switch signal {
		case "trace":
			return speaksTraces
		case "metrics":
			return speaksMetrics
		}
	}
	return speaksGRPC
}

// retryInfo is the status of an answer that tells the client when to come again, as the
// header Retry-After does over HTTP, and the detail of it alone, which Python's exporter
// wants (opentelemetry-exporter-otlp-proto-grpc 1.45.2, checked 2026-11-29).
func retryInfo(code int, text string, after time.Duration) (details, retry []byte) {
	info := &errdetails.RetryInfo{RetryDelay: durationpb.New(after)}
	detail, err := anypb.New(info)
	if err != nil {
		return nil, nil // cannot happen: it has one field, which is valid
	}
	b, err := proto.Marshal(&status.Status{Code: int32(code), Message: text, Details: []*anypb.Any{detail}})
	if err != nil {
		return nil, nil // only text that is not UTF-8, and clients repeat without it, too
	}
	return b, detail.Value
}

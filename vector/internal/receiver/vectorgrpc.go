// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"net/http"
)

// Paths of the methods of Vector's own protocol.
const (
	nativePush   = "/vector.Vector/PushEvents"
	nativeHealth = "/vector.Vector/HealthCheck"
)

// serveNative dispatches by method. Requests for health do not count.
func (s *Server) serveNative(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case nativePush:
		s.serveRequest(&request{w: w, r: r, protocol: protocolVector})
	case nativeHealth: // SERVING is 0, NOT_SERVING 1
		writeGRPC(w, &answer{body: s.health(nil, []byte{0x08, 1})})
	default:
		s.unknownMethod(w, r, "native.listen")
	}
}

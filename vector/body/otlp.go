// SPDX-License-Identifier: Apache-2.0

package body

func (s *splitter) otlpProto() *Error { return refuse(KindUnsupported, "OTLP protobuf") }
func (s *splitter) otlpJSON() *Error  { return refuse(KindUnsupported, "OTLP JSON") }

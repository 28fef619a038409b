// SPDX-License-Identifier: Apache-2.0

package body

func (s *splitter) msgpack() *Error { return refuse(KindUnsupported, "msgpack") }

// SPDX-License-Identifier: Apache-2.0

package plugin

import "cmp"

// ownRecords tells whether each record of a stream, "" for the configured one, is a
// Kinesis record of its own. It is asked once for each chunk and stream, if events are
// combined.
func (in *Instance) ownRecords(stream string) bool {
	if !in.cfg.Aggregation {
		return true
	}
	p, ok := in.producer.(interface{ Auto(stream string) bool })
	return ok && p.Auto(cmp.Or(stream, in.cfg.Stream))
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"encoding/binary"
	"hash"
	"sort"
)

// A shipper such as syslog-ng fills a batch up before it sends it again: the body then
// begins with the events of the one that failed. The ledger knows such a body by its
// events, as they are to be stored. So it does not matter how the body was compressed,
// or whether its events are in an array, and events that this body would store otherwise
// are not taken for stored.

// Len implements delivery.Parts. The parts are the events of the body, those that are no
// records among them.
func (c *content) Len() int {
	gaps := len(c.known)
	for _, n := range c.dropped {
		gaps += n
	}
	if gaps != len(c.gaps) || c.counts != nil {
		// A body that cannot be read, of which nothing is known; or one whose records may
		// hold other events when it has grown.
		return 0
	}
	return len(c.Records) + gaps
}

// Hash implements delivery.Parts. What the client calls itself belongs to the first event,
// since two clients of one address send bodies that begin alike more often than equal
// ones.
func (c *content) Hash(h hash.Hash, i int) {
	if i == 0 {
		c.hash(h, 'a', c.dest.agent, nil)
	}
	// The number of gaps before event i, and whether it is one itself.
	g := sort.Search(len(c.gaps), func(k int) bool { return int(c.gaps[k].before)+k >= i })
	if g == len(c.gaps) || int(c.gaps[g].before)+g > i {
		r := &c.Records[i-g]
		c.hash(h, 'r', r.PartitionKey, r.Data)
		return
	}
	what := c.gaps[g].what
	if what < 0 {
		c.hash(h, 'd', PoisonReason(-1-what).String(), nil)
		return
	}
	l := &c.known[what]
	c.hash(h, 'l', l.PartitionKey, l.Data)
}

// droppedFrom counts the events that are left out, from that number on, by reason.
func (c *content) droppedFrom(n int) (dropped [poisonCount]int) {
	if n == 0 {
		return c.dropped
	}
	for i, g := range c.gaps {
		if g.what < 0 && int(g.before)+i >= n {
			dropped[-1-g.what]++
		}
	}
	return dropped
}

func (c *content) hash(h hash.Hash, kind byte, key string, data []byte) {
	b := append(c.scratch[:0], kind)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(key)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(data)))
	b = append(b, key...)
	c.scratch = b
	_, _ = h.Write(b) // never fails
	_, _ = h.Write(data)
}

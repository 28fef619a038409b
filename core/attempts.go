// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math"
)

// attemptNode links the attempts of a record, newest first. User records that
// travelled together share nodes.
type attemptNode struct {
	*Attempt                // what the records of a request have in common
	shardID, sequenceNumber string
	prev                    *attemptNode
}

// fullAttempt returns the attempt with shard and sequence number.
func (n *attemptNode) fullAttempt() Attempt {
	a := *n.Attempt
	a.ShardID, a.SequenceNumber = n.shardID, n.sequenceNumber
	return a
}

// withCode returns the node with another code and message.
func (n attemptNode) withCode(code, message string) *attemptNode {
	a := *n.Attempt
	a.Code, a.Message = code, message
	n.Attempt = &a
	return &n
}

// shortenHistory makes one node of the last two of a history that is to have more than
// maxAttempts with the next: in an outage attempts go on for as long as it lasts.
func (n *attemptNode) shortenHistory(tries uint16) *attemptNode {
	if tries <= maxAttempts {
		return n
	}
	one := *n
	one.prev = n.prev.prev
	if n.prev.Uncertain {
		a := *n.Attempt // others share it
		a.Uncertain = true
		one.Attempt = &a
	}
	return &one
}

// attemptLink is the last node that attempted made for records which had one before.
type attemptLink struct {
	from, of *attemptNode // the node before, and that of the attempt
	node     *attemptNode
}

// noteAttempt adds an attempt to the history of a user record. The first node of
// a record is shared with its companions; later ones need the link back.
func (pl *pipeline) noteAttempt(it *item, node *attemptNode) {
	if it.tries < math.MaxUint16 {
		it.tries++
	}
	if it.last == nil {
		it.last = node
		return
	}
	pl.stats.Retries++
	it.last = pl.link.linkAfter(it.last, node, it.tries)
}

// linkAfter returns a node of the attempt that links back to the one before. Records that
// had one before in common share it.
func (l *attemptLink) linkAfter(before, attempt *attemptNode, tries uint16) *attemptNode {
	if l.from != before || l.of != attempt {
		node := *attempt
		node.prev = before.shortenHistory(tries)
		l.from, l.of, l.node = before, attempt, &node
	}
	return l.node
}

// noteAttempts adds a failed attempt to every user record of a Kinesis record.
func (pl *pipeline) noteAttempts(kr *kinesisRecord, v classification, a Attempt) {
	a.Code, a.Message = v.code, v.message
	node := &attemptNode{Attempt: &a}
	for _, it := range kr.items {
		pl.noteAttempt(it, node)
	}
}

// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// listToken is what a NextToken of ListShards holds: with it the follow-up call
// needs neither the stream nor the filter again.
type listToken struct {
	Stream     string
	Generation int64
	After      string // shard id
	Filter     types.ShardFilterType
	At         time.Time // of the filter
	Issued     time.Time

	when time.Time // to show; each page has its own
}

// encodeToken makes an opaque token. Marshalling plain fields cannot fail.
func encodeToken(v any) *string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return aws.String(base64.RawURLEncoding.EncodeToString(b))
}

func decodeToken(t string, v any) bool {
	b, err := base64.RawURLEncoding.DecodeString(t)
	return err == nil && json.Unmarshal(b, v) == nil
}

func (s *Server) listShards(in *kinesis.ListShardsInput) (*kinesis.ListShardsOutput, *failure) {
	page := defaultListShardsPage
	if in.MaxResults != nil {
		if *in.MaxResults < 1 || *in.MaxResults > maxListShardsResults {
			return nil, validation("Value '%d' at 'maxResults' failed to satisfy constraint: Member must be between 1 and %d", *in.MaxResults, maxListShardsResults)
		}
		page = min(page, int(*in.MaxResults))
	}
	st, tok, f := s.listShardsStart(in)
	if f != nil {
		return nil, f
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	out := &kinesis.ListShardsOutput{Shards: []types.Shard{}}
	if st.creating {
		return out, nil
	}
	for _, sh := range st.all {
		if sh.id <= tok.After || sh.created.After(tok.when) || !sh.matches(tok.when, tok.Filter, tok.At) {
			continue
		}
		if len(out.Shards) == page {
			tok.After = aws.ToString(out.Shards[page-1].ShardId)
			tok.Issued = s.cfg.now()
			out.NextToken = encodeToken(tok)
			break
		}
		out.Shards = append(out.Shards, sh.describe(tok.when))
	}
	return out, nil
}

// listed returns the stream that ListShards shows for this one, and the time that it
// shows: see [WithListShardsLag].
func (s *Server) listed(st *stream) (*stream, time.Time) {
	when := s.cfg.now().Add(-s.cfg.listShardsLag)
	if !st.created.After(when) {
		return st, when
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, old := range s.past[st.name] {
		if !old.created.After(when) && old.deletedAt.After(when) {
			return old, when
		}
	}
	return st, st.created
}

// listShardsStart finds the stream and where to go on, from the token or from
// the parameters that must not come with one.
func (s *Server) listShardsStart(in *kinesis.ListShardsInput) (*stream, listToken, *failure) {
	var tok listToken
	if in.NextToken == nil {
		st, f := s.lookup(in.StreamName, in.StreamARN)
		if f != nil {
			return nil, tok, f
		}
		st, when := s.listed(st)
		if in.StreamCreationTimestamp != nil && in.StreamCreationTimestamp.Unix() != st.created.Unix() {
			return nil, tok, s.notFound(st.name)
		}
		tok = listToken{Stream: st.name, Generation: st.generation, After: aws.ToString(in.ExclusiveStartShardId), when: when}
		if fl := in.ShardFilter; fl != nil {
			tok.Filter, tok.At = fl.Type, aws.ToTime(fl.Timestamp)
			switch fl.Type {
			case types.ShardFilterTypeAfterShardId:
				if fl.ShardId == nil {
					return nil, tok, invalid("ShardId must be specified for a shard filter of type %s", fl.Type)
				}
				tok.After = max(tok.After, *fl.ShardId)
			case types.ShardFilterTypeAtTimestamp, types.ShardFilterTypeFromTimestamp:
				if fl.Timestamp == nil {
					return nil, tok, invalid("Timestamp must be specified for a shard filter of type %s", fl.Type)
				}
			case types.ShardFilterTypeAtLatest, types.ShardFilterTypeAtTrimHorizon, types.ShardFilterTypeFromTrimHorizon:
			default:
				return nil, tok, validation("Value '%s' at 'shardFilter.type' failed to satisfy constraint: Member must satisfy enum value set", fl.Type)
			}
		}
		return st, tok, nil
	}
	if in.StreamName != nil || in.StreamCreationTimestamp != nil || in.ExclusiveStartShardId != nil || in.ShardFilter != nil {
		return nil, tok, invalid("NextToken and StreamName cannot be provided together.")
	}
	if !decodeToken(*in.NextToken, &tok) {
		return nil, tok, invalid("NextToken is not valid.")
	}
	if age := s.cfg.now().Sub(tok.Issued); age > tokenLifetime {
		return nil, tok, fail("ExpiredNextTokenException", "NextToken expired: it is older than %s.", tokenLifetime)
	}
	st, f := s.lookup(&tok.Stream, nil)
	if f != nil {
		return nil, tok, f
	}
	if st, tok.when = s.listed(st); st.generation != tok.Generation {
		f = s.notFound(tok.Stream)
	}
	return st, tok, f
}

// openAt reports whether the shard was open at a time when it existed. Called with
// the stream's lock held.
func (sh *shard) openAt(when time.Time) bool { return sh.slot >= 0 || sh.closedAt.After(when) }

// matches reports whether a shard passed a filter at a time. Nothing is ever trimmed
// here, so the trim horizon is the creation of the stream. Called with the stream's
// lock held.
func (sh *shard) matches(when time.Time, f types.ShardFilterType, at time.Time) bool {
	switch f {
	case types.ShardFilterTypeAtLatest:
		return sh.openAt(when)
	case types.ShardFilterTypeAtTrimHorizon:
		return len(sh.parents) == 0
	case types.ShardFilterTypeAtTimestamp:
		return !sh.created.After(at) && (sh.openAt(when) || sh.closedAt.After(at))
	case types.ShardFilterTypeFromTimestamp:
		return sh.openAt(when) || sh.closedAt.After(at)
	}
	return true
}

// describe returns the API's form as it was at a time. Called with the stream's lock
// held.
func (sh *shard) describe(when time.Time) types.Shard {
	d := types.Shard{
		ShardId:             aws.String(sh.id),
		HashKeyRange:        sh.hashRange(),
		SequenceNumberRange: &types.SequenceNumberRange{StartingSequenceNumber: aws.String(sh.firstSeq)},
	}
	if !sh.openAt(when) {
		d.SequenceNumberRange.EndingSequenceNumber = aws.String(sh.lastSeq)
	}
	if len(sh.parents) > 0 {
		d.ParentShardId = aws.String(sh.parents[0].id)
	}
	if len(sh.parents) > 1 {
		d.AdjacentParentShardId = aws.String(sh.parents[1].id)
	}
	return d
}

func (sh *shard) hashRange() *types.HashKeyRange {
	return &types.HashKeyRange{StartingHashKey: aws.String(sh.startStr), EndingHashKey: aws.String(sh.endStr)}
}

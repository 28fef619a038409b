// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"

	"github.com/outkpl/outkpl/internal/arn"
)

// streamID is a stream as the caller named it.
type streamID struct {
	name string
	arn  *string // nil when only the name is known
}

// ParseStream checks a stream name or ARN and returns the name, and the region
// if an ARN gave one. A name has 1 to 128 of the characters a-z A-Z 0-9 _ . -
// (source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html,
// checked 2026-11-24).
func ParseStream(s string) (name, region string, err error) {
	name, region, ok := arn.Stream(s)
	switch {
	case ok:
		return name, region, nil
	case name == "" && strings.HasPrefix(s, arn.Prefix):
		return "", "", fmt.Errorf("stream %q is not the ARN of a stream; allowed: arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME", s)
	}
	return "", "", fmt.Errorf("stream name %q is not valid; allowed: 1 to 128 of the characters a-z A-Z 0-9 _ . - (or an ARN)", name)
}

func newStreamID(s string) (streamID, error) {
	name, _, err := ParseStream(s)
	if err != nil {
		return streamID{}, err
	}
	id := streamID{name: name}
	if name != s {
		id.arn = &s
	}
	return id, nil
}

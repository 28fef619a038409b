// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"
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
	name = s
	if strings.HasPrefix(s, "arn:") {
		// arn:partition:kinesis:region:account:stream/name
		f := strings.SplitN(s, ":", 6)
		if len(f) != 6 || f[2] != "kinesis" || f[3] == "" || f[4] == "" || !strings.HasPrefix(f[5], "stream/") {
			return "", "", fmt.Errorf("stream %q is not the ARN of a stream; allowed: arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME", s)
		}
		region, name = f[3], strings.TrimPrefix(f[5], "stream/")
	}
	ok := len(name) >= 1 && len(name) <= 128
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		return "", "", fmt.Errorf("stream name %q is not valid; allowed: 1 to 128 of the characters a-z A-Z 0-9 _ . - (or an ARN)", name)
	}
	return name, region, nil
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

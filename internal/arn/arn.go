// SPDX-License-Identifier: Apache-2.0

// Package arn takes the names of streams apart.
//
//	name, region, ok := arn.Stream("arn:aws:kinesis:eu-west-1:123456789012:stream/logs") // logs, eu-west-1, true
package arn

import "strings"

// Prefix begins every ARN, and no name of a stream.
const Prefix = "arn:"

// Stream returns the name of a stream, and its region if s is an ARN
// (arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME). ok is false if s is neither a name, 1 to
// 128 of the characters a-z A-Z 0-9 _ . -, nor an ARN; name is then what stands in the
// place of one. It does not allocate.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html,
// checked 2026-11-24.
func Stream(s string) (name, region string, ok bool) {
	name = s
	if rest, isARN := strings.CutPrefix(s, Prefix); isARN {
		var service, account string
		_, rest, _ = strings.Cut(rest, ":")
		service, rest, _ = strings.Cut(rest, ":")
		region, rest, _ = strings.Cut(rest, ":")
		account, rest, _ = strings.Cut(rest, ":")
		if name, ok = strings.CutPrefix(rest, "stream/"); !ok || service != "kinesis" || region == "" || account == "" {
			return "", "", false
		}
	}
	if len(name) < 1 || len(name) > 128 {
		return name, "", false
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return name, "", false
		}
	}
	return name, region, true
}

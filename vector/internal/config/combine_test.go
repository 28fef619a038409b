// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
)

func TestCombineIsChecked(t *testing.T) {
	for _, tt := range []struct {
		flags []string
		want  string // "": no error
	}{
		{[]string{"--route.combine=lines", "--route.combine_size=1MiB", "--route.combine_count=500"}, ""},
		{[]string{"--route.combine=ndjson"}, "off, lines"},
		{[]string{"--route.combine=lines", "--route.combine_size=1023"}, "1KiB to 10MiB"},
		{[]string{"--route.combine=lines", "--route.combine_count=1000001"}, "1 to 1000000"},
		{[]string{"--route.combine_size=64KiB"}, "has no use with combine off; allowed: combine lines or json_array, or no combine_size"},
		{[]string{"--route.combine_count=5"}, "has no use with combine off"},
		{[]string{"--route.combine=lines", "--route.compression=lz4"}, "none, gzip, zlib, zstd"},
	} {
		_, err := Load(Sources{Args: append(tt.flags, "--route.stream=logs")})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("unexpected error for %q; got %v; want one with %q", tt.flags, err, tt.want)
		}
	}
}

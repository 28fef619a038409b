// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// SafeName makes the name of a folder of any text, another one for each. Plain ASCII, digits,
// dots, underscores and hyphens stay.
func SafeName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, text)
	const longest = 80
	if name == text && len(name) <= longest && strings.Trim(name, ".") != "" {
		return name
	}
	sum := sha256.Sum256([]byte(text))
	return strings.TrimLeft(name[:min(len(name), longest)], ".") + "-" + hex.EncodeToString(sum[:4])
}

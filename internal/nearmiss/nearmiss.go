// SPDX-License-Identifier: Apache-2.0

// Package nearmiss finds what somebody has meant who misspelt a name.
//
//	name, ok := nearmiss.Find("patition_key", known, 2) // "partition_key", true
package nearmiss

// Find returns the known name that takes the fewest changes from name, at most as
// many as given. Of equals the first counts.
func Find(name string, known []string, most int) (string, bool) {
	best, found := "", false
	for _, k := range known {
		if d := Distance(name, k); d <= most {
			best, found, most = k, true, d-1
		}
	}
	return best, found
}

// Distance is the number of bytes to add, remove or replace to make b of a (Levenshtein).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

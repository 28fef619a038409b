// SPDX-License-Identifier: Apache-2.0

// Package md5lanes computes the MD5 of several messages at once. One MD5 is a
// chain of dependent steps, which leaves most of a processor idle; eight of
// them side by side in the lanes of AVX2 registers take little longer than one.
// Every aggregate ends with an MD5 and every partition key is placed by one, so
// that they are the largest cost of a producer otherwise.
//
//	blobs := [][]byte{a, b, c}
//	sums := make([][16]byte, len(blobs))
//	md5lanes.Sums(sums, blobs)
//
// On processors without AVX2, on other architectures, and with the build tag
// purego it calls crypto/md5 for one message after the other. The results are
// always the same. All functions are safe for concurrent use and do not
// allocate.
package md5lanes

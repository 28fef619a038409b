// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"crypto/sha256"
	"os"
	"syscall"
)

// bootOf stands for this start of the machine. What an earlier process of the same start has
// written is in the page cache, if not on disk.
func bootOf() (id [16]byte) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(b) == 0 {
		return id
	}
	sum := sha256.Sum256(b)
	copy(id[:], sum[:])
	return id
}

// networkFileSystem names the file system of a folder if it is on another machine.
func networkFileSystem(dir string) string {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return ""
	}
	switch uint32(s.Type) { // linux/magic.h
	case 0x6969:
		return "nfs"
	case 0x517b, 0xff534d42, 0xfe534d42:
		return "smb"
	case 0x01021997:
		return "9p"
	}
	return ""
}

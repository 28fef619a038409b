// SPDX-License-Identifier: Apache-2.0

// Package filelock locks files against other processes, and against other handles
// of this one. A lock ends with its handle, so that a process that was killed
// leaves none behind.
//
//	err := filelock.TryLock(f) // until f is closed
//	if errors.Is(err, filelock.ErrLocked) {
//		...
//	}
//
// It is flock, or LockFileEx on Windows. Elsewhere there is no such lock, and
// TryLock does nothing. The locks are advisory: they stop those who ask.
package filelock

import "errors"

// ErrLocked is returned by TryLock when another process has the lock.
var ErrLocked = errors.New("locked by another process")

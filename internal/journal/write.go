// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/outkpl/outkpl/internal/remedy"
)

// flush writes what was encoded. Called with mu held.
func (j *Journal) flush() {
	if len(j.enc.b) == 0 || j.closed {
		return
	}
	if j.failed != nil {
		j.enc.b = j.enc.b[:0] // it is in the entries
		if !time.Now().Before(j.retry) {
			j.tryAgain()
		}
		return
	}
	n, err := j.f.WriteAt(j.enc.b, j.size)
	j.stats.Writes++
	j.stats.Written += uint64(n)
	if err != nil {
		j.fail(err)
		return
	}
	j.writes++
	j.size += int64(n)
	if j.enc.b = j.enc.b[:0]; cap(j.enc.b) > maxKeptBuf {
		j.enc.b = nil
	}
	if j.size > j.due {
		if err := j.rewrite(); err != nil {
			j.fail(err)
		}
	}
}

// fail is called when the file cannot be written. What is in it must not be used any more:
// contents that it has as under way may end now. Called with mu held.
func (j *Journal) fail(err error) {
	j.enc.b = j.enc.b[:0]
	j.stats.Failures++
	j.retry = time.Now().Add(retryAfter)
	empty := j.empty()
	if j.failed == nil {
		r := remedy.Find("journal", err.Error(), err)
		j.log.Error("cannot write the journal; delivery goes on without it, so after a crash contents may be written twice", "folder", j.dir,
			"cause", r.Cause, "advice", r.Advice(j.cfg.Names, ""), "error", err, "next", "trying again every 10s")
		if empty != nil {
			j.log.Error("cannot empty the journal either; delete it before the next start, or contents that are equal to earlier ones may be taken for these", "file", j.path(), "error", empty)
		}
	}
	j.failed = err
}

// empty takes everything out of the file, or the file away.
func (j *Journal) empty() error {
	err := os.ErrClosed
	if j.f != nil {
		if err = j.f.Truncate(0); err == nil && j.cfg.Sync {
			err = j.f.Sync()
		}
		_ = j.f.Close() // nothing is in it
		j.f = nil
	}
	j.size = 0
	if err == nil {
		return nil
	}
	if err = os.Remove(j.path()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// tryAgain writes the file anew after a failure. Called with mu held.
func (j *Journal) tryAgain() {
	err := j.makeDirs()
	if err == nil {
		err = j.lockAgain()
	}
	if err == nil {
		err = j.rewrite()
	}
	if err != nil {
		j.fail(err)
		return
	}
	j.failed = nil
	j.log.Info("the journal works again", "folder", j.dir)
}

// lockAgain locks the file that is at the path of the lock now.
func (j *Journal) lockAgain() error {
	path := filepath.Join(j.dir, lockName)
	mine, err := j.lock.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Stat(path); err == nil && os.SameFile(mine, now) {
		return nil
	}
	lock, err := lockFile(path, 0)
	if err != nil {
		return err
	}
	_ = j.lock.Close() // of a file that is gone
	j.lock = lock
	return nil
}

// syncNow returns when everything written so far is durable. Calls at one time share what
// the system does. Called without mu.
func (j *Journal) syncNow() {
	if !j.cfg.Sync {
		return
	}
	j.mu.Lock()
	want := j.writes
	j.mu.Unlock()
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.synced >= want {
		return
	}
	j.mu.Lock()
	f, upTo := j.f, j.writes
	j.stats.Syncs++
	skip := f == nil || j.closed
	j.mu.Unlock()
	if skip {
		return
	}
	err := f.Sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil && f == j.f && !j.closed { // else it was replaced by one that is durable
		j.fail(err)
		return
	}
	j.synced = upTo
}

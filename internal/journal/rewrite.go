// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"time"
)

// rewrite makes a new file of what is known and puts it in the place of the old one. Called
// with mu held.
func (j *Journal) rewrite() error {
	j.dropOld()
	b := j.encodeAll()
	if int64(len(b)) > j.cfg.MaxBytes {
		b = j.evict(b)
	}
	next := j.path() + ".new"
	f, err := j.cfg.openFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	j.stats.Writes++
	if err == nil && j.cfg.Sync {
		j.stats.Syncs++
		err = f.Sync()
	}
	if runtime.GOOS == "windows" { // no file that is open can be moved or replaced there
		err = errors.Join(err, f.Close())
		if j.f != nil {
			_ = j.f.Close()
		}
		f, j.f = nil, nil
	}
	if err == nil {
		err = os.Rename(next, j.path())
	}
	if err == nil && j.cfg.Sync {
		err = syncDir(j.dir)
	}
	if err == nil && f == nil {
		f, err = j.cfg.openFile(j.path(), os.O_RDWR)
	}
	if err != nil {
		if f != nil {
			_ = f.Close()
		}
		_ = os.Remove(next)
		return err
	}
	if j.f != nil {
		_ = j.f.Close() // nothing of it is needed
	}
	j.f, j.size, j.enc.b, j.enc.seed = f, int64(len(b)), j.enc.b[:0], j.header.seed()
	j.due = min(max(leastRewrite, 3*j.size), max(j.cfg.MaxBytes, j.size+leastRewrite/4))
	j.writes++
	j.stats.Written += uint64(len(b))
	j.stats.Rewrites++
	return nil
}

// encodeAll makes a file of what is known. Called with mu held.
func (j *Journal) encodeAll() []byte {
	e := encoder{b: j.header.append(make([]byte, 0, 4096)), seed: j.header.seed()}
	ids := make([]uint64, 0, len(j.entries))
	for id := range j.entries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		j.entries[id].state.appendTo(&e)
	}
	ids = ids[:0]
	for id := range j.calls {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		e.b = append(e.b, j.calls[id].frame...)
	}
	return e.b
}

// evict drops the oldest entries until the rest takes half of the room. Called with mu held.
func (j *Journal) evict(b []byte) []byte {
	ids := make([]uint64, 0, len(j.entries))
	for id := range j.entries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	n := 0
	for int64(len(b)) > j.cfg.MaxBytes/2 && n < len(ids) {
		for range max(1, (len(ids)-n)/4) {
			j.drop(j.entries[ids[n]])
			n++
		}
		b = j.encodeAll()
	}
	j.stats.Evicted += uint64(n)
	j.log.Warn("journal: contents were evicted for lack of room; after a crash they may be written twice; raise journal_size", "folder", j.dir, "contents", n)
	return b
}

// dropOld drops entries that have not ended in time: their clients have given up. Called
// with mu held.
func (j *Journal) dropOld() {
	now := time.Now().UnixMilli()
	for _, e := range j.entries {
		if now-e.state.begun > j.cfg.MaxAge.Milliseconds() {
			j.drop(e)
			j.stats.Evicted++
		}
	}
}

// drop takes an entry out, without a word in the file. Called with mu held.
func (j *Journal) drop(e *Entry) {
	e.gone = true
	delete(j.entries, e.state.id)
	for _, id := range e.state.calls {
		j.leaveCall(id)
	}
	e.state.calls = nil
}

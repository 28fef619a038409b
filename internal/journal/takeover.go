// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/outkpl/outkpl/internal/filelock"
	"github.com/outkpl/outkpl/internal/ledger"
)

func (j *Journal) open() error {
	if err := j.makeDirs(); err != nil {
		return err
	}
	var err error
	if j.lock, err = lockFile(filepath.Join(j.dir, lockName), lockWait); err != nil {
		return err
	}
	if kind := networkFileSystem(j.dir); kind != "" {
		j.log.Warn("the journal is on a network file system; it is exact only as far as that keeps locks and writes", "folder", j.dir, "file_system", kind)
	}
	j.mu.Lock() // the sweeper may begin at once
	defer j.mu.Unlock()
	err = j.takeOver()
	j.visits.freeSince = time.Now()
	if err == nil {
		err = j.rewrite() // from here on the entries are ours alone
	}
	if err != nil {
		return errors.Join(err, j.lock.Close())
	}
	if n := len(j.recovered); n > 0 {
		j.log.Info("journal: contents of an earlier process are known, only what is missing of them will be sent", "folder", j.dir, "contents", n)
	}
	return nil
}

func (j *Journal) makeDirs() error {
	for _, dir := range []string{j.cfg.Dir, j.dir} {
		switch err := os.Mkdir(dir, 0o700); {
		case err == nil && dir == j.cfg.Dir:
			j.log.Info("made the folder of the journal", "folder", dir)
		case err != nil && !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	return nil
}

// ErrInUse is returned by Open while another process, or another output of this one, has
// the journal.
var ErrInUse = errors.New("in use by another process or another output; give each of them a folder or name of its own")

// lockFile locks a file until it is closed. It is never deleted: another process may be about
// to lock it.
func lockFile(path string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = filelock.TryLock(f); !errors.Is(err, filelock.ErrLocked) {
			break
		}
		if wait <= 0 {
			err = ErrInUse
			break
		}
		time.Sleep(lockPoll)
		wait -= lockPoll
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (j *Journal) path() string { return filepath.Join(j.dir, fileName) }

// takeOver reads the file of an earlier process.
func (j *Journal) takeOver() error {
	_, _ = rand.Read(j.header.salt[:]) // never fails
	_, _ = rand.Read(j.header.key[:])
	j.header.version, j.header.boot = Version, j.cfg.boot()
	if j.cfg.Sync {
		j.header.flags |= flagSync
	}
	if err := j.hash.init(&j.header); err != nil {
		return err
	}
	m, err := j.readOld()
	if m == nil || err != nil {
		return err
	}
	j.adopt(m)
	return nil
}

// readOld returns nil if there is nothing to take over.
func (j *Journal) readOld() (*image, error) {
	info, err := os.Stat(j.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	unused := func(why string, attrs ...any) (*image, error) {
		j.log.Warn("journal: what an earlier process has left is not used, so contents that it had under way may be written twice: "+why,
			append([]any{"file", j.path()}, attrs...)...)
		return nil, nil
	}
	// Written anew it is within MaxBytes; one of another setting may be larger.
	if most := max(2*j.cfg.MaxBytes, 256<<20); info.Size() > most {
		return unused("it is too large", "bytes", info.Size(), "most", most)
	}
	b, err := os.ReadFile(j.path())
	if err != nil {
		return nil, err
	}
	m, err := readFile(b)
	var version *VersionError
	switch {
	case errors.As(err, &version):
		// Another version may be started again, and needs it.
		return nil, fmt.Errorf("%s: %w; start the version that has written it, or delete the file", j.path(), err)
	case errors.Is(err, errTorn) && len(b) == 0:
		return nil, nil // it was emptied
	case err != nil:
		return unused(err.Error())
	case m.header.flags&flagSHA256 != j.header.flags&flagSHA256:
		return unused("it has another kind of hashes")
	}
	if m.broken > 0 {
		j.log.Warn("journal: a part cannot be read; what it says of contents is not used, so that those may be written twice", "file", j.path(), "parts", m.broken, "contents_not_used", m.discarded)
		j.stats.Unused += uint64(m.discarded)
	}
	if m.header.flags&flagSync == 0 && (m.header.boot == [16]byte{} || m.header.boot != j.header.boot) && len(m.states) > 0 {
		j.stats.Unused += uint64(len(m.states))
		return unused("the machine was started since it was written, and journal_sync was off", "contents", len(m.states))
	}
	return m, nil
}

// adopt makes what can be used of m entries of this process.
func (j *Journal) adopt(m *image) {
	now := time.Now()
	j.lastID = m.lastID
	j.header.salt, j.header.key = m.header.salt, m.header.key
	_ = j.hash.init(&j.header) // it has not failed before
	var foreign, old int
	equal := map[ledger.Identity]int{}
	for _, s := range m.states {
		equal[s.head.Identity]++
	}
	for _, s := range m.states {
		switch {
		case j.cfg.Known != nil && !j.cfg.Known(s.head.Identity.Scope.Fingerprint):
			foreign++
		case s.finished != 0 && !s.finishedLately(now):
			continue // as it should be
		case s.finished != 0 && equal[s.head.Identity] > 1:
			continue // equal contents come anew here, so that it may stand for none that comes again
		case now.UnixMilli()-s.begun > j.cfg.MaxAge.Milliseconds():
			old++
		case s.settled.n+s.deadLetters.n == 0 && len(s.calls) == 0 && !s.head.Counted && s.events == [dispositions]int{}:
			continue // nothing is known
		default:
			e := &Entry{j: j, state: *s, recovered: true}
			if e.state.finished != 0 {
				j.relics = append(j.relics, e)
			}
			j.entries[s.id] = e
			j.recovered = append(j.recovered, e)
			for _, id := range s.calls {
				if c := m.calls[id]; c != nil {
					j.calls[id] = c
				}
			}
			continue
		}
	}
	slices.SortFunc(j.recovered, func(a, b *Entry) int { return cmp.Compare(a.state.id, b.state.id) })
	j.armSweeper()
	j.stats.Recovered = uint64(len(j.recovered))
	j.stats.Unused += uint64(foreign + old)
	if foreign > 0 {
		j.log.Warn("journal: contents of an earlier process are not used, since other options or another version shape records now; they are sent whole and may be written twice", "folder", j.dir, "contents", foreign)
	}
	if old > 0 {
		j.log.Warn("journal: contents of an earlier process are older than journal_age and not used; if they come, they are sent whole", "folder", j.dir, "contents", old)
	}
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there, and need not be
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

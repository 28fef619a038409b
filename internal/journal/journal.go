// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/outkpl/outkpl/internal/filelock"
	"github.com/outkpl/outkpl/internal/ledger"
	"github.com/outkpl/outkpl/internal/remedy"
)

const (
	defaultMaxBytes = 64 << 20
	defaultMaxAge   = 24 * time.Hour
	// finishedLife is how long a finished entry may be used after its client was to hear of
	// it: it has then dropped the content, and equal content is new. It is swept a little
	// earlier, so that one timer serves for many. In the process after, only time counts in
	// which the client could come; see Enter.
	finishedLife = 10 * time.Second
	sweepEvery   = time.Second
	// finishedSpan bounds it over all processes, by the clock of the system.
	finishedSpan = 10 * time.Minute
	// maxAnswered bounds the contents of which it is known that they were answered; twice as many are.
	maxAnswered = 4096
	// lockWait is how long Open waits for a process that is about to end.
	lockWait, lockPoll = time.Second, 50 * time.Millisecond
	// retryAfter is when to try again after the file could not be written.
	retryAfter = 10 * time.Second
	// leastRewrite is the size from which a file is worth being written anew.
	leastRewrite = 1 << 20
	maxKeptBuf   = 1 << 20
	// maxPlaces bounds the shards of which the last sequence number is known.
	maxPlaces = 1 << 16

	fileName = "journal"
	lockName = "lock"
)

// Config says where a journal is. Dir and Name must be set.
type Config struct {
	// Dir is made if it is missing, but not what it is in. The journal is in the folder
	// Name below it.
	Dir, Name string
	// Sync makes everything durable that has to outlive the machine, not the process alone.
	Sync bool
	// MaxBytes bounds the file. Default 64 MiB.
	MaxBytes int64
	// MaxAge is how long an entry is kept that does not end. Default 24 h.
	MaxAge time.Duration
	// Known tells which fingerprints are those of this process. Entries with others are not
	// used. Default: all are.
	Known func(ledger.Fingerprint) bool
	// Names are the options of the program, for advice in log lines. Default: those of the
	// plugin.
	Names remedy.Names
	// Logger takes changes of state. Default: nowhere.
	Logger *slog.Logger

	openFile func(path string, flag int) (handle, error) // for tests
	boot     func() [16]byte
}

// handle is what is used of *os.File.
type handle interface {
	WriteAt(b []byte, at int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// Stats counts what a Journal has done since Open, and says what it holds.
type Stats struct {
	// Entries are the contents in it, Bytes the size of its file.
	Entries int
	Bytes   int64
	// Written counts bytes, Writes and Syncs calls of the system, Rewrites files that were
	// written anew.
	Written                 uint64
	Writes, Syncs, Rewrites uint64
	// Recovered counts entries of an earlier process that can be used, Used those that were,
	// Unused those that cannot be, whatever the reason.
	Recovered, Used, Unused uint64
	// Uncertain counts records of used entries that were sent without a known answer. They are
	// sent again.
	Uncertain uint64
	// Evicted counts entries that left before their end, for lack of room or their age.
	Evicted uint64
	// Failures counts failures to write, Failed tells that it is not written now.
	Failures uint64
	Failed   bool
}

// place is a shard of a stream.
type place struct{ stream, shard string }

// Journal is safe for concurrent use.
type Journal struct {
	cfg  Config
	log  *slog.Logger
	dir  string
	hash hasher

	syncMu sync.Mutex // before mu
	synced uint64     // guarded by syncMu: the write up to which all is durable

	mu         sync.Mutex // guards all below, and entries
	lock       *os.File
	f          handle
	header     header
	enc        encoder // what is not written yet
	unanswered []byte  // scratch of appendUnanswered
	size, due  int64   // of the file, and when it is written anew
	writes     uint64
	entries    map[uint64]*Entry
	calls      map[uint64]*call
	lastID     uint64
	last       map[place]string  // sequence numbers
	places     map[string]uint64 // shards of the call that is being written, by their numbers there
	order      []string          // the same, in their order
	finished   []*Entry          // by this process, the oldest first
	relics     []*Entry          // finished by an earlier one, and not taken
	sweeper    *time.Timer       // nil: there are none of both
	visits     visits
	answered   answered
	failed     error
	retry      time.Time
	closed     bool
	stats      Stats
	recovered  []*Entry
}

// Open opens the journal and takes over what an earlier process has left in it. An error
// means that there is no journal; the caller goes on without.
func Open(cfg Config) (*Journal, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Names == nil {
		cfg.Names = remedy.Plugin
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = defaultMaxAge
	}
	if cfg.openFile == nil {
		cfg.openFile = func(path string, flag int) (handle, error) { return os.OpenFile(path, flag, 0o600) }
	}
	if cfg.boot == nil {
		cfg.boot = bootOf
	}
	j := &Journal{
		cfg: cfg, log: cfg.Logger, dir: filepath.Join(cfg.Dir, cfg.Name),
		entries: map[uint64]*Entry{}, calls: map[uint64]*call{}, last: map[place]string{}, places: map[string]uint64{},
	}
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("cannot use the journal %s: %w", j.dir, err)
	}
	return j, nil
}

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

// Recovered are the entries that an earlier process has left, the oldest first.
func (j *Journal) Recovered() []*Entry { return j.recovered }

// Stats returns the counters and what it has.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Entries, s.Bytes, s.Failed = len(j.entries), j.size, j.failed != nil
	return s
}

// Close writes what is left and gives the journal free for others. What has not ended stays
// in the file.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.flush()
	j.closed = true
	if j.sweeper != nil {
		j.sweeper.Stop()
	}
	f, lock := j.f, j.lock
	j.mu.Unlock()
	j.syncMu.Lock() // a sync may be under way
	defer j.syncMu.Unlock()
	var err error
	if f != nil {
		if j.cfg.Sync {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, lock.Close())
}

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

// armSweeper is called with mu held.
func (j *Journal) armSweeper() {
	if j.sweeper != nil || j.closed || len(j.finished)+len(j.relics) == 0 {
		return
	}
	wait := finishedLife
	if len(j.finished) > 0 {
		wait = finishedLife - sweepEvery - time.Since(j.finished[0].since)
	}
	if len(j.relics) > 0 {
		wait = min(wait, finishedLife-j.visits.free(time.Now()))
	}
	j.sweeper = time.AfterFunc(max(wait, sweepEvery/2), j.sweep)
}

// sweep ends entries that were finished a while ago, and empties a file of which nothing is
// left.
func (j *Journal) sweep() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sweeper = nil
	if j.closed {
		return
	}
	n := 0
	for n < len(j.finished) && time.Since(j.finished[n].since) >= finishedLife-sweepEvery && !j.visits.since(j.finished[n].since.Add(sweepEvery)) {
		n++
	}
	j.endAll(j.finished[:n])
	j.finished = slices.Delete(j.finished, 0, n)
	var over []*Entry
	j.relics = slices.DeleteFunc(j.relics, func(e *Entry) bool {
		if e.fresh() {
			return false
		}
		over = append(over, e)
		return true
	})
	j.endAll(over)
	if len(j.entries) == 0 && len(j.calls) == 0 && j.failed == nil && j.size > int64(headerBytes) {
		if err := j.f.Truncate(int64(headerBytes)); err != nil {
			j.fail(err)
		} else {
			j.size = int64(headerBytes)
		}
	}
	j.armSweeper()
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

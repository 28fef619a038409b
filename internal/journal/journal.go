// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

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
	parts      []part            // of that call
	looks      bool              // a record could be looked for: last is kept
	marked     []*Put            // with marks, within one call
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

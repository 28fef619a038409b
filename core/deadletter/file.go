// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/outkpl/outkpl/internal/plural"
)

const (
	defaultMaxBytes = 256 << 20
	defaultMaxFiles = 16
	minMaxBytes     = 1 << 10
	maxMaxFiles     = 100000
	minMaxAge       = time.Second
)

var (
	// ErrFull is returned by File.Write when the space is used up. Nothing was
	// written. It passes when old files are taken away.
	ErrFull = errors.New("the dead letter files are full")
	// ErrInUse is returned by OpenFile when another File, here or in another
	// process, has the path.
	ErrInUse = errors.New("the dead letter file is in use")
)

// FileConfig says where and how a File writes. Path is all that must be set.
type FileConfig struct {
	// Path is the file that dead letters are appended to. Two more names come from it:
	// full files are renamed to PATH-NUMBER-TIME with the extension kept at the end
	// (dead-000001-20261124T105500Z.ndjson), and PATH.lock is the lock.
	Path string
	// CreateDir makes the directory of Path, for the owner only, if it is missing.
	// Default: it must exist.
	CreateDir bool
	// MaxBytes is the size at which a new file is begun. A single Write that is
	// larger gets a file of its own. Default 256 MiB, at least 1 KiB.
	MaxBytes int64
	// MaxAge begins a new file when the oldest dead letter in it is this old, so that
	// files can be looked at or sent again while the process runs. Default 0:
	// size alone counts. At least 1 s.
	MaxAge time.Duration
	// MaxFiles bounds the full files that are kept besides the current one. When it
	// is reached, Write fails with ErrFull until one is taken away. Default
	// 16, range 1 to 100,000.
	MaxFiles int
	// DropOldest deletes the oldest full file instead. That loses its dead letters for
	// good; how many is logged and counted. Default: off.
	DropOldest bool
	// Logger takes lines about what was cut, dropped or moved. Default: nowhere.
	Logger *slog.Logger
}

func (c *FileConfig) validate() error {
	var errs []error
	bad := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("cannot use %s %v: allowed is %s", key, value, allowed))
	}
	if c.Path == "" {
		bad("Path", `""`, "the path of a file")
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.MaxBytes < minMaxBytes {
		bad("MaxBytes", c.MaxBytes, fmt.Sprintf("%d and more, or 0 for %d", minMaxBytes, defaultMaxBytes))
	}
	if c.MaxAge != 0 && c.MaxAge < minMaxAge {
		bad("MaxAge", c.MaxAge, fmt.Sprintf("%v and more, or 0", minMaxAge))
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = defaultMaxFiles
	}
	if c.MaxFiles < 1 || c.MaxFiles > maxMaxFiles {
		bad("MaxFiles", c.MaxFiles, fmt.Sprintf("1 to %d, or 0 for %d", maxMaxFiles, defaultMaxFiles))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return errors.Join(errs...)
}

// FileStats counts what a File has done since it was opened.
type FileStats struct {
	// Entries and Bytes count what is durable.
	Entries, Bytes uint64
	// Syncs counts calls of fsync for dead letters; several writers share one.
	Syncs uint64
	// Errors counts failed writes to the disk, ErrFull included.
	Errors uint64
	// Rotations counts files that became full or old.
	Rotations uint64
	// DroppedFiles and DroppedEntries count what DropOldest has deleted.
	DroppedFiles, DroppedEntries uint64
	// CutBytes is what was cut off as the rest of a line that was never
	// acknowledged.
	CutBytes uint64
}

// File is a Sink that appends dead letters to a file, one JSON object a line. One
// goroutine writes for all callers and ends with Close.
type File struct {
	maxBytes int64
	disk     *disk // used by the goroutine alone
	lock     *os.File
	wake     chan struct{}
	done     chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex // guards all below
	queue  []*request
	closed bool
	stats  FileStats
	err    error // of closing
}

// request is one Write. err is set before done is closed.
type request struct {
	heads []byte  // of the lines, without their data
	lines []piece // of the entries
	size  int64   // of the lines
	err   error
	done  chan struct{}
	left  error // errGone, once it is left out for that

	mu   sync.Mutex // guards gone, and reading the data
	gone bool       // the data may not be read any more
}

// piece is a line of a request: where its head ends, and its data, which are the caller's. They
// are encoded while they are written, as they may be large.
type piece struct {
	head int
	data []byte
}

// newRequest makes the request for the entries, or says which of them cannot be written.
func newRequest(entries []Entry) (*request, error) {
	r := &request{lines: make([]piece, len(entries)), done: make(chan struct{})}
	var heads bytes.Buffer
	for i := range entries {
		if err := appendHead(&heads, &entries[i]); err != nil {
			return nil, fmt.Errorf("cannot write dead letter %d of %d: %w", i, len(entries), err)
		}
		r.lines[i] = piece{heads.Len(), entries[i].Data}
		r.size += int64(base64.StdEncoding.EncodedLen(len(entries[i].Data)) + len(lineEnd))
	}
	r.heads = heads.Bytes()
	r.size += int64(len(r.heads))
	return r, nil
}

// leave gives the data back to the caller, although they may be under way.
func (r *request) leave() {
	r.mu.Lock()
	r.gone = true
	r.mu.Unlock()
}

// errGone says that a caller has left before all of its data were read.
var errGone = errors.New("the caller does not wait any more")

// encode gives the lines to write, in pieces of a buffer that it may use again. The data are
// read between the calls of write alone, so that a disk that hangs does not hold them.
func (r *request) encode(buf []byte, write func(piece []byte) error) error {
	buf = buf[:0]
	head := 0
	for _, l := range r.lines {
		rest := r.heads[head:l.head]
		head = l.head
		for len(rest) > 0 {
			if len(buf) == cap(buf) {
				if err := write(buf); err != nil {
					return err
				}
				buf = buf[:0]
			}
			n := min(len(rest), cap(buf)-len(buf))
			buf, rest = append(buf, rest[:n]...), rest[n:]
		}
		for data, last := l.data, false; !last; {
			room := (cap(buf) - len(buf) - len(lineEnd)) / 4 * 3
			if room <= 0 {
				if err := write(buf); err != nil {
					return err
				}
				buf = buf[:0]
				continue
			}
			n := min(len(data), room)
			r.mu.Lock()
			if r.gone {
				r.mu.Unlock()
				return errGone
			}
			buf = base64.StdEncoding.AppendEncode(buf, data[:n])
			r.mu.Unlock()
			if data = data[n:]; len(data) == 0 {
				buf, last = append(buf, lineEnd...), true
			}
		}
	}
	return write(buf)
}

// OpenFile opens or creates the file. New files are for the owner only (0600).
func OpenFile(c FileConfig) (*File, error) {
	return openFile(c, openHandle)
}

func openFile(c FileConfig, open func(path string) (handle, error)) (*File, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	dir := filepath.Dir(c.Path)
	if c.CreateDir {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("cannot create the directory for dead letters: %w", err)
		}
	}
	lock, err := lockFile(c.Path + LockSuffix)
	if err != nil {
		return nil, fmt.Errorf("cannot open dead letter file %s: %w", c.Path, err)
	}
	f := &File{
		maxBytes: c.MaxBytes,
		disk:     &disk{cfg: c, log: c.Logger.With("file", c.Path), openHandle: open, syncDir: syncDir},
		lock:     lock,
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),
	}
	if err := f.disk.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open dead letter file %s: %w", c.Path, err), lock.Close())
	}
	f.stats = f.disk.stats
	go f.run()
	return f, nil
}

// Write implements Sink: the data of the entries are read until it returns. All dead letters are durable, or it fails. If ctx ends while
// they are being written, it is not known whether they are.
func (f *File) Write(ctx context.Context, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot write %s: %w", plural.Count(len(entries), "dead letter"), err)
	}
	r, err := newRequest(entries)
	if err != nil {
		return err
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return ErrClosed
	}
	f.queue = append(f.queue, r)
	f.mu.Unlock()
	f.kick()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		defer r.leave()
		if f.takeBack(r) {
			return fmt.Errorf("cannot write %s in time: %w", plural.Count(len(entries), "dead letter"), ctx.Err())
		}
		return fmt.Errorf("cannot tell whether %s %s written: %w", plural.Count(len(entries), "dead letter"), plural.Verb(len(entries), "was", "were"), ctx.Err())
	}
}

// takeBack removes a request that is not being written yet, so that a disk that
// hangs does not make the queue grow.
func (f *File) takeBack(r *request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.queue, r)
	if i < 0 {
		return false
	}
	f.queue = slices.Delete(f.queue, i, i+1)
	return true
}

const closeGrace = time.Second

// Close writes what is under way and closes the file. If ctx ends first, that goes
// on, and Close may be called again. A file of which nothing is under way is closed in no
// time, but not in less: whether the disk hangs shows only a second after the end of ctx.
func (f *File) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.kick()
	select {
	case <-f.done:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.err
	case <-ctx.Done():
		t := time.NewTimer(closeGrace)
		defer t.Stop()
		select {
		case <-f.done:
			return f.Close(context.WithoutCancel(ctx))
		case <-t.C:
		}
		return fmt.Errorf("cannot close the dead letter file in time: %w", ctx.Err())
	}
}

// Stats returns the counters.
func (f *File) Stats() FileStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

func (f *File) kick() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run writes what is queued, group by group: while one is being synced, the next
// gathers. It also begins a new file when the dead letters are old.
func (f *File) run() {
	defer close(f.done)
	old := time.NewTimer(0)
	defer old.Stop()
	for {
		select {
		case <-f.wake:
		case <-old.C:
			f.disk.rotateIfOld()
		}
		for {
			group, closed := f.next()
			if len(group) == 0 {
				if closed {
					f.end()
					return
				}
				break
			}
			err := f.disk.write(group)
			f.publish()
			for _, r := range group {
				if r.err = err; err == nil {
					r.err = r.left
				}
				close(r.done)
			}
		}
		f.publish()
		if wait, ok := f.disk.untilOld(); ok {
			old.Reset(wait)
		}
	}
}

// next takes as much from the queue as fits into one file, at least one request.
func (f *File) next() (group []*request, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(f.queue) && (n == 0 || size+f.queue[n].size <= f.maxBytes) {
		size += f.queue[n].size
		n++
	}
	group = f.queue[:n:n]
	if f.queue = f.queue[n:]; len(f.queue) == 0 {
		f.queue = nil
	}
	return group, f.closed
}

func (f *File) publish() {
	f.mu.Lock()
	f.stats = f.disk.stats
	f.mu.Unlock()
}

func (f *File) end() {
	err := errors.Join(f.disk.close(), f.lock.Close())
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.err = fmt.Errorf("cannot close the dead letter file: %w", err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// handle is what is used of *os.File.
type handle interface {
	io.ReaderAt
	io.WriterAt
	Stat() (os.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// openHandle does not open for appending, since on Windows such a file cannot be
// truncated.
func openHandle(path string) (handle, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// encodeBytes is how much is encoded between two writes.
const encodeBytes = 256 << 10

// disk is the current file and its predecessors. It is not safe for concurrent
// use.
type disk struct {
	cfg        FileConfig
	log        *slog.Logger
	openHandle func(path string) (handle, error)
	syncDir    func(dir string) error
	stats      FileStats

	buf  []byte // what is encoded and not written, empty between writes
	f    handle // nil if it could not be opened again
	size int64  // what is durable; the next dead letter begins here
	torn bool   // there may be something behind size
	born time.Time
	// retry is when to try again to put an old file away; set after a failure.
	retry time.Time
}

// open opens the current file and mends its end.
func (d *disk) open() error {
	f, err := d.openHandle(d.cfg.Path)
	if err != nil {
		return err
	}
	size, err := d.mend(f)
	if err == nil {
		// A name lasts only when its directory is synced, too. Who made the file
		// may have ended before that.
		err = d.syncDir(filepath.Dir(d.cfg.Path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	d.f, d.size, d.torn, d.born = f, size, false, time.Now()
	if size > 0 {
		if l, err := NewReader(io.NewSectionReader(f, 0, size)).Next(); err == nil && l.Time.Before(d.born) {
			d.born = l.Time
		}
	}
	return nil
}

// mend makes the file end with a complete line and returns its size. What is cut
// off was never acknowledged.
func (d *disk) mend(f handle) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is not a regular file")
	}
	size := info.Size()
	begin, err := lastLine(f, size)
	if err != nil || begin == size {
		return size, err
	}
	if size-begin < MaxLineBytes {
		tail := make([]byte, size-begin)
		if _, err := f.ReadAt(tail, begin); err != nil {
			return 0, err
		}
		if _, err := parseLine(tail); err == nil {
			// Complete but for its end: an editor may have left it so.
			if _, err := f.WriteAt([]byte("\n"), size); err != nil {
				return 0, err
			}
			return size + 1, f.Sync()
		}
	}
	if err := f.Truncate(begin); err != nil {
		return 0, err
	}
	d.stats.CutBytes += uint64(size - begin)
	d.log.Warn("the last line was incomplete and is cut off; it was never acknowledged", "bytes", size-begin)
	return begin, f.Sync()
}

// lastLine returns where the incomplete last line begins; size if there is none.
func lastLine(f io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		begin := max(0, end-int64(len(buf)))
		piece := buf[:end-begin]
		if _, err := f.ReadAt(piece, begin); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(piece, '\n'); i >= 0 {
			return begin + int64(i) + 1, nil
		}
		end = begin
	}
	return 0, nil
}

// write makes the requests durable, all of them or none.
func (d *disk) write(group []*request) error {
	err := d.append(group)
	if err != nil {
		d.stats.Errors++
		return fmt.Errorf("cannot write to dead letter file %s: %w", d.cfg.Path, err)
	}
	return nil
}

func (d *disk) append(group []*request) error {
	var bytes int64
	entries := 0
	for _, r := range group {
		bytes += r.size
	}
	if err := d.ready(); err != nil {
		return err
	}
	if d.size > 0 && d.size+bytes > d.cfg.MaxBytes {
		if err := d.rotate(); err != nil {
			return err
		}
	}
	if d.size == 0 {
		d.born = time.Now()
	}
	d.torn = true
	if d.buf == nil {
		d.buf = make([]byte, 0, encodeBytes)
	}
	at := d.size
	for _, r := range group {
		begin := at
		err := r.encode(d.buf, func(piece []byte) error {
			n, err := d.f.WriteAt(piece, at)
			at += int64(n)
			return err
		})
		if errors.Is(err, errGone) {
			// Others follow, and a line that is complete may not follow half of one.
			r.left, at = errGone, begin
			if err = d.f.Truncate(begin); err == nil {
				continue
			}
		}
		if err != nil {
			return errors.Join(err, d.cut())
		}
		entries += len(r.lines)
	}
	if err := d.f.Sync(); err != nil {
		return errors.Join(err, d.cut())
	}
	bytes = at - d.size
	d.size, d.torn = at, false
	d.stats.Syncs++
	d.stats.Entries += uint64(entries)
	d.stats.Bytes += uint64(bytes)
	return nil
}

// cut removes what a failed write has left.
func (d *disk) cut() error {
	if err := d.f.Truncate(d.size); err != nil {
		return fmt.Errorf("cannot cut off what was written in part: %w", err)
	}
	d.torn = false
	return nil
}

// ready makes sure that the open file is the one at the path and ends where the
// last dead letter ends. Otherwise dead letters would go into a file that another program has
// deleted, or behind a hole.
func (d *disk) ready() error {
	if d.f != nil && d.torn {
		if err := d.cut(); err != nil {
			return err
		}
	}
	if d.f != nil {
		mine, err := d.f.Stat()
		there, perr := os.Stat(d.cfg.Path)
		if err == nil && perr == nil && os.SameFile(mine, there) && mine.Size() == d.size {
			return nil
		}
		d.log.Warn("the file was changed, moved or deleted by another program and is opened again")
		if err := d.close(); err != nil {
			d.log.Warn("cannot close the former file", "error", err)
		}
	}
	return d.open()
}

func (d *disk) close() error {
	if d.f == nil {
		return nil
	}
	err := d.f.Close()
	d.f = nil
	return err
}

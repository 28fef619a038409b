// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/plural"
)

const (
	// LockSuffix is appended to FileConfig.Path for the file that is the lock.
	LockSuffix = ".lock"
	// ProgressSuffix is appended to the name of a file for the file in which
	// kpl-replay notes which of its dead letters are done. It moves with the file.
	ProgressSuffix = ".done"

	// retryRotation is how long to wait after an old file could not be put away.
	retryRotation = time.Minute
)

// oldFile is a full file.
type oldFile struct {
	path   string
	number int
}

// split takes a path apart, so that names of full files can be made of it.
func split(path string) (dir, stem, ext string) {
	dir, name := filepath.Split(path)
	ext = filepath.Ext(name)
	return dir, strings.TrimSuffix(name, ext), ext
}

// oldFiles lists the full files of a path, oldest first. They are in order of their
// numbers; the times in the names are for people, and clocks may be set back.
func oldFiles(path string) ([]oldFile, error) {
	dir, stem, ext := split(path)
	form, err := regexp.Compile("^" + regexp.QuoteMeta(stem) + `-([0-9]{6,9})-[0-9]{8}T[0-9]{6}Z` + regexp.QuoteMeta(ext) + "$")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var files []oldFile
	for _, e := range entries {
		if m := form.FindStringSubmatch(e.Name()); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, err
			}
			files = append(files, oldFile{filepath.Join(dir, e.Name()), n})
		}
	}
	slices.SortFunc(files, func(a, b oldFile) int { return a.number - b.number })
	return files, nil
}

// rotate puts the current file away and begins a new one.
func (d *disk) rotate() error {
	old, err := oldFiles(d.cfg.Path)
	if err != nil {
		return err
	}
	if len(old) >= d.cfg.MaxFiles && !d.cfg.DropOldest {
		return fmt.Errorf("%w: there %s %s (MaxFiles); take away what is done with", ErrFull, plural.Verb(len(old), "is", "are"), plural.Count(len(old), "full one"))
	}
	for ; len(old) >= d.cfg.MaxFiles; old = old[1:] {
		if err := d.drop(old[0].path); err != nil {
			return err
		}
	}
	number := 1
	if len(old) > 0 {
		number = old[len(old)-1].number + 1
	}
	dir, stem, ext := split(d.cfg.Path)
	to := fmt.Sprintf("%s%s-%06d-%s%s", dir, stem, number, time.Now().UTC().Format("20060102T150405Z"), ext)
	// On Windows an open file cannot be renamed.
	if err := d.close(); err != nil {
		return err
	}
	if err := moveAway(d.cfg.Path, to); err != nil {
		return errors.Join(err, d.open())
	}
	d.stats.Rotations++
	d.log.Info("a dead letter file is full or old and was put away", "to", to, "bytes", d.size)
	return d.open()
}

// moveAway renames a file and its progress. If the process ends in between,
// kpl-replay does not know what it has sent of this file.
func moveAway(from, to string) error {
	if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot rename %s: %s exists", from, to)
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := os.Rename(from+ProgressSuffix, to+ProgressSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// drop deletes a full file, and counts what is lost with it.
func (d *disk) drop(path string) error {
	entries, err := countLines(path)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	if err := os.Remove(path + ProgressSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	d.stats.DroppedFiles++
	d.stats.DroppedEntries += entries
	d.log.Error("the oldest dead letter file was deleted for lack of room, its dead letters are lost", "deleted", path, "dead_letters", entries)
	return nil
}

func countLines(path string) (n uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for {
		_, err := r.ReadSlice('\n')
		switch {
		case err == nil:
			n++
		case errors.Is(err, io.EOF):
			return n, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return n, err
		}
	}
}

// untilOld returns when rotateIfOld has to be called next, if at all.
func (d *disk) untilOld() (wait time.Duration, ok bool) {
	if d.cfg.MaxAge == 0 || d.size == 0 {
		return 0, false
	}
	return max(0, time.Until(d.born.Add(d.cfg.MaxAge)), time.Until(d.retry)), true
}

// rotateIfOld begins a new file if the oldest dead letter is old. If that cannot be
// done, dead letters go on into the old one, as long as it has room.
func (d *disk) rotateIfOld() {
	if wait, ok := d.untilOld(); !ok || wait > 0 {
		return
	}
	err := d.ready()
	if err == nil && d.size > 0 {
		err = d.rotate()
	}
	if err != nil {
		d.retry = time.Now().Add(retryRotation)
		d.log.Warn("cannot put an old dead letter file away", "error", err)
	}
}

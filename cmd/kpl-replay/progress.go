// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/filelock"
)

// id is a dead letter in a file: the hash of its line. So the progress stays right when
// the file is renamed, or when lines are taken out of it or added.
type id [16]byte

func idOf(line []byte) id {
	sum := sha256.Sum256(bytes.TrimSpace(line))
	return id(sum[:16])
}

// The verbs of the progress file. Each line is a verb and an id.
const (
	verbPut  = "put"  // is about to be put
	verbDone = "done" // is in Kinesis, or in the file of --failed
	verbNot  = "not"  // was put, and is certainly not in Kinesis
)

// progress is FILE.done. It is only ever appended to. The zero value remembers
// nothing.
type progress struct {
	f *os.File // nil for reading only
	// Lines that are equal to the last byte are counted, not merged: they are
	// dead letters of their own.
	done, open map[id]int
}

// loadProgress reads the progress of a file, which may not exist.
func loadProgress(path string) (*progress, error) {
	p := &progress{}
	f, err := os.Open(plainName(path) + deadletter.ProgressSuffix)
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the progress: %w", err)
	}
	defer f.Close()
	_, err = p.read(f)
	return p, err
}

// openProgress reads the progress of a file and locks it for adding to it.
func openProgress(path string) (*progress, error) {
	f, err := os.OpenFile(plainName(path)+deadletter.ProgressSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the progress: %w", err)
	}
	p := &progress{f: f}
	err = filelock.TryLock(f)
	if errors.Is(err, filelock.ErrLocked) {
		err = fmt.Errorf("cannot replay %s: another kpl-replay is at it", path)
	}
	if err == nil {
		var size int64
		if size, err = p.read(f); err == nil {
			// The rest of a line that a killed run has left.
			err = errors.Join(f.Truncate(size), seekEnd(f))
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

func seekEnd(f *os.File) error {
	_, err := f.Seek(0, io.SeekEnd)
	return err
}

// read returns where the last complete line ends.
func (p *progress) read(r io.Reader) (size int64, err error) {
	p.done, p.open = map[id]int{}, map[id]int{}
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, fmt.Errorf("cannot read the progress: %w", err)
		}
		verb, text, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		var i id
		if k, err := hex.Decode(i[:], text[:min(len(text), 2*len(i))]); err != nil || k != len(i) || len(text) != 2*len(i) {
			return 0, fmt.Errorf("cannot read line %d of the progress; was it changed?", n)
		}
		switch string(verb) {
		case verbPut:
			p.open[i]++
		case verbDone:
			p.open[i]--
			p.done[i]++
		case verbNot:
			p.open[i]--
		default:
			return 0, fmt.Errorf("cannot read line %d of the progress; was it changed?", n)
		}
		if p.open[i] == 0 {
			delete(p.open, i)
		}
		size += int64(len(line))
	}
}

// take tells whether a dead letter is done, once for each time it was done.
func (p *progress) take(i id) bool {
	if p.done[i] == 0 {
		return false
	}
	if p.done[i]--; p.done[i] == 0 {
		delete(p.done, i)
	}
	return true
}

// takeOpen tells likewise whether an earlier run ended while it put the dead letter.
func (p *progress) takeOpen(i id) bool {
	if p.open[i] <= 0 {
		return false
	}
	if p.open[i]--; p.open[i] == 0 {
		delete(p.open, i)
	}
	return true
}

// note appends lines and makes them durable.
func (p *progress) note(verb string, ids ...id) error {
	if p.f == nil || len(ids) == 0 {
		return nil
	}
	var buf bytes.Buffer
	for _, i := range ids {
		fmt.Fprintf(&buf, "%s %x\n", verb, i[:])
	}
	_, err := p.f.Write(buf.Bytes())
	if err == nil {
		err = p.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("cannot note the progress: %w", err)
	}
	return nil
}

func (p *progress) close() error {
	if p.f == nil {
		return nil
	}
	return p.f.Close()
}

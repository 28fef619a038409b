// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// LineError says that a line is no dead letter. It does not hold any of the line.
type LineError struct {
	// Line is the line's number, from 1.
	Line int
	// Err says what is wrong with it.
	Err error
}

// Error implements error.
func (e *LineError) Error() string { return fmt.Sprintf("cannot read line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// Read yields the dead letters of a file. A line that is no dead letter is yielded as a
// *LineError, and the reading goes on behind it; any other error is the reader's,
// and the last. Empty lines are passed over. The last line needs no end.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		reader := NewReader(r)
		for {
			l, err := reader.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			var broken *LineError
			if !yield(l, err) || err != nil && !errors.As(err, &broken) {
				return
			}
		}
	}
}

// Reader is Read for those who need the lines as well. It is not safe for
// concurrent use.
type Reader struct {
	in    *bufio.Reader
	line  int // the number of the line that was read last, from 1
	buf   []byte
	limit int
}

// NewReader makes a Reader.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10), limit: MaxLineBytes}
}

// Raw returns the line that Next has read last, as it is in the file. It is valid
// until the next call of Next, and empty if the line was too long.
func (r *Reader) Raw() []byte { return r.buf }

// Next returns the next dead letter, or io.EOF. After a *LineError it may be called
// again.
func (r *Reader) Next() (Entry, error) {
	for {
		b, tooLong, err := r.next()
		switch {
		case err != nil && (!errors.Is(err, io.EOF) || len(b) == 0 && !tooLong):
			return Entry{}, err
		case tooLong:
			return Entry{}, &LineError{r.line, fmt.Errorf("it is longer than %d bytes", r.limit)}
		case len(bytes.TrimSpace(b)) == 0:
			continue
		}
		l, perr := parseLine(b)
		if perr != nil {
			return Entry{}, &LineError{r.line, perr}
		}
		return l, nil
	}
}

// next returns the next line, which is valid until the next call. It is empty if
// it is too long.
func (r *Reader) next() (b []byte, tooLong bool, err error) {
	r.buf = r.buf[:0]
	r.line++
	for {
		piece, err := r.in.ReadSlice('\n')
		if !tooLong && len(r.buf)+len(piece) > r.limit {
			tooLong, r.buf = true, r.buf[:0]
		}
		if !tooLong {
			r.buf = append(r.buf, piece...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return r.buf, tooLong, err
		}
	}
}

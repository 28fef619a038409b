// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// resolveTimeout bounds one resolution. A credential process may take a minute.
	resolveTimeout = time.Minute
	// minWait and maxWait bound the time from one resolution to the next, which
	// doubles while none helps.
	minWait = time.Second
	maxWait = 30 * time.Second
	// lookEvery is how often files are read while all is well, lookAgain how often
	// while credentials are missing or refused. A change that is seen while all is
	// well counts when it is still the same after settle: a file may be half written.
	lookEvery = time.Minute
	lookAgain = time.Second
	settle    = 5 * time.Second
	// early is how long before their end the SDK calls credentials expired, at most.
	// Until then they are better than none.
	early = 5 * time.Minute
)

// source is what one resolution of the chain has found.
type source struct {
	provider aws.CredentialsProvider
	// files are what the chain reads: first the two shared ones, which decide where
	// credentials come from, then tokens.
	files []string
}

// shared is how many of a source's files are the shared ones.
const shared = 2

// chain hands out the credentials of all clients of a process. The SDK resolves its
// chain once, so that keys in a file count for as long as the process lives. This one
// is resolved anew when a service refuses the credentials, or a file has changed.
//
// At most one goroutine resolves at a time; who needs its outcome waits. None is there
// while nothing is to be done: a look at the files is due when credentials are asked for.
type chain struct {
	load   func(context.Context) (source, error)
	logger *slog.Logger // or nil

	mu      sync.Mutex // guards what follows
	source  source
	creds   aws.Credentials
	err     error         // why the last try failed; nil: it did not
	refused string        // the code by which a service refuses creds, or ""
	warned  bool          // a failure has been logged
	last    time.Time     // of the last try
	wait    time.Duration // from it to the next, unless a file has changed
	look    time.Time     // no look at the files before it
	read    stamp         // of the files when source was made
	seen    stamp         // of the files at the last look
	flight  chan struct{} // closed when the goroutine ends; nil: there is none
}

func newChain(s source, read stamp, load func(context.Context) (source, error), logger *slog.Logger) *chain {
	return &chain{load: load, logger: logger, source: s, read: read, look: time.Now().Add(lookEvery)}
}

// good tells whether the credentials can be used without a thought.
func (c *chain) good() bool {
	return c.refused == "" && c.creds.HasKeys() && !c.creds.Expired()
}

// Retrieve implements aws.CredentialsProvider.
func (c *chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c.mu.Lock()
	now := time.Now()
	if c.flight == nil {
		switch good := c.good(); {
		case !good && now.Sub(c.last) >= c.wait:
			c.start(true)
		case !now.Before(c.look):
			c.start(false)
		}
	}
	flight := c.flight
	if flight == nil || c.good() {
		defer c.mu.Unlock()
		return c.best(now)
	}
	c.mu.Unlock()
	select {
	case <-flight:
	case <-ctx.Done():
		return aws.Credentials{}, &aws.RequestCanceledError{Err: ctx.Err()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.best(time.Now())
}

// best returns the credentials at hand. Refused ones, too: the answer of the service
// is the error that the user needs, and it may change its mind.
func (c *chain) best(now time.Time) (aws.Credentials, error) {
	if c.creds.HasKeys() && (c.err == nil || !c.creds.CanExpire || now.Before(c.creds.Expires.Add(early))) {
		return c.creds, nil
	}
	return aws.Credentials{}, c.err
}

// start lets a goroutine look at the files, and fetch credentials if they have changed
// or must says so. c.mu is held.
func (c *chain) start(must bool) {
	done := make(chan struct{})
	c.flight = done
	go func() {
		defer close(done)
		c.fly(must)
	}()
}

func (c *chain) fly(must bool) {
	c.mu.Lock()
	src, code, good, read, seen := c.source, c.refused, c.good(), c.read, c.seen
	c.mu.Unlock()

	files := stampOf(src.files)
	changed := files.shared != read.shared || !good && files.tokens != read.tokens
	settled := !good || files.shared == seen.shared
	var creds aws.Credentials
	var err error
	try := must || changed && settled
	if try {
		src, creds, err = c.fetch(src, code != "" || changed)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.flight, c.seen = nil, files
	now := time.Now()
	switch {
	case good && changed && !settled:
		c.look = now.Add(settle)
	case good:
		c.look = now.Add(lookEvery)
	default:
		c.look = now.Add(lookAgain)
	}
	if !try {
		return
	}
	c.last = now
	if err != nil || code != "" || creds.Expired() {
		c.wait = min(max(2*c.wait, minWait), maxWait)
	}
	if c.err = err; err != nil {
		if c.logger != nil && c.creds.HasKeys() && !c.warned {
			c.logger.Warn("cannot fetch new AWS credentials; those at hand stay in use", "err", err)
		}
		c.warned = true
		return
	}
	c.warned = false
	c.source, c.read = src, files
	if same(creds, c.creds) {
		c.creds = creds // with another end
		return
	}
	if c.logger != nil && (code != "" || changed) && c.creds.HasKeys() {
		why := "a file has changed"
		if code != "" {
			why = "the old ones were refused: " + code
		}
		c.logger.Info("new AWS credentials are in use", "reason", why)
	}
	c.creds, c.refused = creds, ""
}

// fetch asks a source for credentials, after the whole chain has been resolved anew if
// that is due.
func (c *chain) fetch(src source, anew bool) (_ source, creds aws.Credentials, err error) {
	defer func() {
		if p := recover(); p != nil { // it would end the host
			err = fmt.Errorf("cannot fetch credentials: panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	if anew {
		if src, err = c.load(ctx); err != nil {
			return src, creds, err
		}
	}
	creds, err = src.provider.Retrieve(ctx)
	return src, creds, err
}

func same(a, b aws.Credentials) bool {
	return a.AccessKeyID == b.AccessKeyID && a.SecretAccessKey == b.SecretAccessKey && a.SessionToken == b.SessionToken
}

// refuse is told that a service does not accept the credentials with the key. Those
// that have been replaced in the meantime do not count.
func (c *chain) refuse(key, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key == c.creds.AccessKeyID {
		c.refused = code
	}
}

// accept is told that a service accepts the credentials with the key.
func (c *chain) accept(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key == c.creds.AccessKeyID {
		c.refused = ""
		// Not to nothing, or one client that is refused and one that is not could
		// take turns.
		c.wait = min(c.wait, minWait)
	}
}

// stamp tells whether files have changed. It is made from what is in them, since
// neither time nor size have to change with it.
type stamp struct{ shared, tokens [sha256.Size]byte }

func stampOf(files []string) (s stamp) {
	return stamp{shared: sumOf(files[:shared]), tokens: sumOf(files[shared:])}
}

func sumOf(files []string) (sum [sha256.Size]byte) {
	all := sha256.New()
	for _, name := range files {
		one := sha256.New()
		// What is no regular file may not be read twice.
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			if f, err := os.Open(name); err == nil {
				_, _ = one.Write([]byte{1})
				_, _ = io.Copy(one, f)
				_ = f.Close()
			}
		}
		_, _ = all.Write(one.Sum(nil))
	}
	all.Sum(sum[:0])
	return sum
}

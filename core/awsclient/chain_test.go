// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// fakeChain counts resolutions. Keys are what is in the first file, if it has any.
type fakeChain struct {
	*chain
	file, token string
	log         bytes.Buffer

	mu      sync.Mutex
	loads   int
	fetches int
	latency time.Duration
	fail    error
	life    time.Duration // 0: without an end
}

func (f *fakeChain) load(context.Context) (source, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loads++
	if f.fail != nil {
		return source{}, f.fail
	}
	key, err := os.ReadFile(f.file)
	if err != nil {
		return source{}, err
	}
	return source{files: []string{f.file, "", f.token}, provider: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fetches++
		time.Sleep(f.latency)
		if f.fail != nil {
			return aws.Credentials{}, f.fail
		}
		return aws.Credentials{AccessKeyID: string(key), SecretAccessKey: "s", CanExpire: f.life != 0, Expires: time.Now().Add(f.life)}, nil
	})}, nil
}

func (f *fakeChain) counts() (loads, fetches int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loads, f.fetches
}

func (f *fakeChain) write(t *testing.T, name, s string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fakeChain) key(t *testing.T) string {
	t.Helper()
	got, err := f.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got.AccessKeyID
}

func newFakeChain(t *testing.T) *fakeChain {
	t.Helper()
	dir := t.TempDir()
	f := &fakeChain{file: filepath.Join(dir, "credentials"), token: filepath.Join(dir, "token")}
	f.write(t, f.file, "old")
	src, err := f.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.chain = newChain(src, stampOf(src.files), f.load, slog.New(slog.NewTextHandler(&f.log, nil)))
	f.loads = 0
	return f
}

func TestRefusedCredentialsAreResolvedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		var at []time.Duration
		begin := time.Now()
		for time.Since(begin) < 2*time.Minute {
			before, _ := f.counts()
			key := f.key(t)
			if after, _ := f.counts(); after != before {
				at = append(at, time.Since(begin))
			}
			f.refuse(key, "ExpiredTokenException")
			time.Sleep(100 * time.Millisecond)
		}
		want := []time.Duration{100 * time.Millisecond}
		for wait := time.Second; want[len(want)-1]+wait < 2*time.Minute; wait = min(2*wait, 30*time.Second) {
			want = append(want, want[len(want)-1]+wait)
		}
		if len(at) != len(want) {
			t.Fatalf("unexpected resolutions; got %v; want %v", at, want)
		}
		for i := range at {
			if d := at[i] - want[i]; d < 0 || d > 200*time.Millisecond {
				t.Errorf("unexpected time of resolution %d; got %v; want %v", i, at[i], want[i])
			}
		}
	})
}

func TestOneResolutionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.latency = 500 * time.Millisecond
		f.refuse(f.key(t), "ExpiredToken")
		f.write(t, f.file, "new")
		var work sync.WaitGroup
		for range 100 {
			work.Go(func() {
				if got := f.key(t); got != "new" {
					t.Errorf("unexpected key; got %q; want new", got)
				}
			})
		}
		work.Wait()
		if loads, fetches := f.counts(); loads != 1 || fetches != 2 {
			t.Errorf("unexpected work; got %d resolutions, %d fetches; want 1, 2", loads, fetches)
		}
	})
}

// Requests that were signed before the change come back late.
func TestLateRefusalsOfOldKeysDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.refuse(f.key(t), "ExpiredToken")
		f.write(t, f.file, "new")
		for range 100 {
			if got := f.key(t); got != "new" {
				t.Fatalf("unexpected key; got %q; want new", got)
			}
			f.refuse("old", "ExpiredToken")
			time.Sleep(time.Second)
		}
		if loads, _ := f.counts(); loads != 1 {
			t.Errorf("unexpected resolutions; got %d; want 1", loads)
		}
		if n := strings.Count(f.log.String(), "\n"); n != 1 || !strings.Contains(f.log.String(), "refused: ExpiredToken") || strings.Contains(f.log.String(), "old\n") {
			t.Errorf("unexpected log; got %q; want one line", f.log.String())
		}
	})
}

func TestChangedFileCutsTheBackoffShort(t *testing.T) {
	for _, name := range []string{"credentials", "token"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeChain(t)
				refuse := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
						if key := f.key(t); key == "old" {
							f.refuse(key, "ExpiredToken")
						}
					}
				}
				refuse(70 * time.Second) // the wait is 30 s by now
				before, _ := f.counts()
				if name == "token" {
					f.write(t, f.token, "another token")
				} else {
					f.write(t, f.file, "new")
				}
				refuse(1500 * time.Millisecond)
				if after, _ := f.counts(); after != before+1 {
					t.Errorf("unexpected resolutions; got %d more; want 1 at once", after-before)
				}
				if want := map[string]string{"credentials": "new", "token": "old"}[name]; f.key(t) != want {
					t.Errorf("unexpected key; want %q", want)
				}
			})
		})
	}
}

func TestChangedFileCountsThoughNothingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.key(t)
		f.write(t, f.file, "new") // of the same size, and at the same time by this clock
		begin := time.Now()
		for f.key(t) == "old" && time.Since(begin) < time.Hour {
			time.Sleep(100 * time.Millisecond)
		}
		if got := time.Since(begin); got > 2*time.Minute {
			t.Errorf("unexpected time until the new key counts; got %v; want up to 2m", got)
		}
		if !strings.Contains(f.log.String(), "a file has changed") {
			t.Errorf("unexpected log; got %q", f.log.String())
		}
		f.write(t, f.token, "tokens are read by who needs them")
		before, _ := f.counts()
		for range 100 {
			f.key(t)
			time.Sleep(10 * time.Second)
		}
		if after, _ := f.counts(); after != before {
			t.Errorf("unexpected resolutions for a new token; got %d; want none", after-before)
		}
	})
}

// A file that is being written may lead to credentials of another kind.
func TestHalfWrittenFileDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.key(t)
		for i := range 2000 { // never the same for more than a second
			f.write(t, f.file, "half "+strconv.Itoa(i))
			time.Sleep(time.Second)
			if got := f.key(t); got != "old" {
				t.Fatalf("unexpected key; got %q; want old", got)
			}
			synctest.Wait() // for the look at it
		}
	})
}

func TestUnreadableFileLeavesTheCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.key(t)
		if err := os.Remove(f.file); err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			if got := f.key(t); got != "old" {
				t.Fatalf("unexpected key; got %q; want old", got)
			}
			time.Sleep(time.Second)
		}
		if n := strings.Count(f.log.String(), "\n"); n != 1 || !strings.Contains(f.log.String(), "stay in use") {
			t.Errorf("unexpected log; got %q; want one line", f.log.String())
		}
		f.write(t, f.file, "new")
		for range 120 {
			f.key(t)
			time.Sleep(time.Second)
		}
		if got := f.key(t); got != "new" {
			t.Errorf("unexpected key; got %q; want new", got)
		}
	})
}

func TestAcceptedCredentialsAreNotFetchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.refuse(f.key(t), "InvalidSignatureException") // a clock that has been set right since
		f.key(t)
		f.accept("old")
		for range 100 {
			f.key(t)
			time.Sleep(time.Second)
		}
		if loads, _ := f.counts(); loads != 1 {
			t.Errorf("unexpected resolutions; got %d; want 1", loads)
		}
	})
}

func TestFailedFetchesAreRepeatedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.fail = errors.New("no credentials anywhere")
		for range 600 {
			if _, err := f.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), "anywhere") {
				t.Fatalf("unexpected error; got %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if _, fetches := f.counts(); fetches < 5 || fetches > 7 { // at 0, 1, 3, 7, 15, 31 s
			t.Errorf("unexpected fetches in a minute; got %d; want 6", fetches)
		}
		f.mu.Lock()
		f.fail = nil
		f.mu.Unlock()
		time.Sleep(maxWait)
		if got := f.key(t); got != "old" {
			t.Errorf("unexpected key; got %q", got)
		}
	})
}

// Where the clock is ahead, each set of credentials seems to have expired.
func TestSeeminglyExpiredCredentialsAreUsedWithoutStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.life = -time.Hour
		for range 100 {
			if got := f.key(t); got != "old" {
				t.Fatalf("unexpected key; got %q; want old", got)
			}
			f.accept("old")
			time.Sleep(100 * time.Millisecond)
		}
		if _, fetches := f.counts(); fetches > 11 {
			t.Errorf("unexpected fetches in 10s; got %d; want one each second at most", fetches)
		}
	})
}

func TestExpiredCredentialsAreFetchedWithoutAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.life = time.Minute
		for range 600 {
			got, err := f.Retrieve(t.Context())
			if err != nil || got.Expired() {
				t.Fatalf("unexpected credentials; got an end at %v, error %v", got.Expires, err)
			}
			f.accept("old")
			time.Sleep(time.Second)
		}
		if loads, fetches := f.counts(); loads != 0 || fetches != 10 {
			t.Errorf("unexpected work in 10m; got %d resolutions, %d fetches; want 0, 10", loads, fetches)
		}
	})
}

// The SDK lets some credentials expire five minutes before their end.
func TestCredentialsThatCannotBeRenewedAreUsedToTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.life = time.Minute
		f.key(t)
		f.fail = errors.New("agent is down")
		time.Sleep(f.life + early - time.Second)
		if got := f.key(t); got != "old" {
			t.Errorf("unexpected key; got %q; want old", got)
		}
		time.Sleep(2 * time.Second)
		if _, err := f.Retrieve(t.Context()); err == nil {
			t.Error("unexpected success after the end")
		}
	})
}

func TestWaitingForCredentialsEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.latency = 10 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unexpected error; got %v", err)
		}
		if got := f.key(t); got != "old" {
			t.Errorf("unexpected key; got %q; want old", got)
		}
	})
}

func TestPanicOfASourceIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeChain(t)
		f.source.provider = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { panic("boom") })
		if _, err := f.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("unexpected error; got %v; want one about the panic", err)
		}
	})
}

func TestStampsSeeEachChange(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	seen := map[stamp]string{}
	check := func(what string) {
		t.Helper()
		s := stampOf([]string{one, two, ""})
		if before, ok := seen[s]; ok {
			t.Errorf("unexpected stamp after %s; it is that after %s", what, before)
		}
		seen[s] = what
	}
	write := func(name, s string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check("nothing")
	write(one, "")
	check("an empty file")
	write(one, "ab")
	check("a file")
	write(one, "ba")
	check("a change of the same size")
	write(one, "b")
	write(two, "a")
	check("the rest in the second file")
	if err := os.Remove(one); err != nil {
		t.Fatal(err)
	}
	check("removal")
	if err := os.Mkdir(one, 0o700); err != nil {
		t.Fatal(err)
	}
	if s := stampOf([]string{one, two, ""}); seen[s] != "removal" {
		t.Error("unexpected stamp of a directory; want that of no file")
	}
}

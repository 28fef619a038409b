// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// One event that cannot be read costs only itself, by the policy for such events.
func TestMalformedEventsCostThemselves(t *testing.T) {
	const body = "{\"n\":0}\n{\"v\":x}\n{\"n\":1,\"v\":nan}\n"
	for _, c := range []struct {
		name, contentType, body string
		flags                   []string
		status                  int
		inBody                  string
		stored                  []string
		deadLetters             []string
	}{
		{"auto without a place for dead letters", "application/x-ndjson", body, nil, 200, `{"events":3,"dropped":1}`, []string{`{"n":0}`, `{"n":1,"v":null}`}, nil},
		{"auto with one", "application/x-ndjson", body, []string{"--dead_letter.stream=unused"}, 200, `{"events":3,"dead_lettered":1}`, []string{`{"n":0}`, `{"n":1,"v":null}`}, []string{`{"v":x}`}},
		{"drop", "application/json", `[{"n":0},{"v":x}]`, []string{"--route.malformed=drop"}, 200, `{"events":2,"dropped":1}`, []string{`{"n":0}`}, nil},
		{"dead letter", "application/json", `[{"n":0},{"v":x}]`, []string{"--route.malformed=dead_letter", "--dead_letter.stream=unused"}, 200, `{"events":2,"dead_lettered":1}`, []string{`{"n":0}`}, []string{`{"v":x}`}},
		{"reject", "application/x-ndjson", body, []string{"--route.malformed=reject"}, 422, "malformed", nil, nil},
		{"nothing can be read, auto", "application/x-ndjson", "x\ny\n", nil, 422, "malformed", nil, nil},
		{"nothing can be read, drop", "application/x-ndjson", "x\ny\n", []string{"--route.malformed=drop"}, 200, `{"events":1,"dropped":1}`, nil, nil},
		{"nothing can be read, dead letter", "application/x-ndjson", "x\ny\n", []string{"--dead_letter.stream=unused"}, 200, `{"events":1,"dead_lettered":1}`, nil, []string{"x\ny\n"}},
		{"MessagePack", "application/msgpack", "\x81\xa1n\x00\x92\x01\x05\x81\xa1n\x01", nil, 200, `{"events":3,"dropped":1}`, []string{`{"n":0}`, `{"n":1}`}, nil},
		{"lines that begin with JSON, by curl's content type", "application/x-www-form-urlencoded", "{\"n\":0}\npanic: x\n", nil, 200, `{"events":2}`, []string{"panic: x", `{"n":0}`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, m := rigWithDeadLetters(t, c.flags)
				defer r.stop()
				r.post(t.Context(), "/", []byte(c.body), "Content-Type", c.contentType).want(t, c.status, c.inBody)
				stored, deadLetters := left(r, m)
				for _, l := range m.deadLetters {
					if l.Reason != "broken" || !strings.Contains(l.Detail, "malformed") || l.Stream != "logs" {
						t.Errorf("unexpected dead letter; got %+v; want a broken one with its error", l)
					}
				}
				if !slices.Equal(stored, c.stored) || !slices.Equal(deadLetters, c.deadLetters) {
					t.Errorf("unexpected outcome; got %q stored, %q as dead letters; want %q and %q", stored, deadLetters, c.stored, c.deadLetters)
				}
				if st := r.server.Stats(); int(st.Dropped[PoisonMalformed])+int(st.DeadLettered[PoisonMalformed]) != min(1, strings.Count(c.inBody, "drop")+len(c.deadLetters)) {
					t.Errorf("unexpected counts; got %d dropped, %d kept", st.Dropped[PoisonMalformed], st.DeadLettered[PoisonMalformed])
				}
			})
		})
	}
}

// rigWithDeadLetters starts a receiver that keeps dead letters in memory.
func rigWithDeadLetters(t *testing.T, flags []string) (*rig, *memory) {
	m := &memory{}
	r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), deadLetters: m}
	r.configure(flags...)
	r.start()
	return r, m
}

// left returns the data of what is stored, sorted, and of the dead letters.
func left(r *rig, m *memory) (stored, deadLetters []string) {
	for _, rec := range r.kinesis.Consume("logs").Records {
		stored = append(stored, string(rec.Data))
	}
	slices.Sort(stored)
	for _, l := range m.deadLetters {
		deadLetters = append(deadLetters, string(l.Data))
	}
	return stored, deadLetters
}

// SPDX-License-Identifier: Apache-2.0

package table

import (
	"log/slog"
	"time"

	"github.com/outkpl/outkpl/internal/journal"
	"github.com/outkpl/outkpl/internal/ledger"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/remedy"
)

// Journal holds the settings of a journal.
type Journal struct {
	Dir      string
	Sync     bool
	MaxBytes int64
	MaxAge   time.Duration
}

// Open opens the journal of that name, or returns nil if none is asked for. One that cannot
// be used costs exactness and nothing else: it is logged, and there is none.
func (j *Journal) Open(name string, known map[ledger.Fingerprint]bool, names remedy.Names, log *slog.Logger) *journal.Journal {
	if j.Dir == "" {
		return nil
	}
	opened, err := journal.Open(journal.Config{
		Dir: j.Dir, Name: journal.SafeName(name), Sync: j.Sync, MaxBytes: j.MaxBytes, MaxAge: j.MaxAge,
		Known: func(f ledger.Fingerprint) bool { return known[f] }, Names: names, Logger: log,
	})
	if err != nil {
		r := remedy.Find("journal", err.Error(), err)
		log.Error("delivery goes on without the journal, at least once: after a crash contents may be written twice",
			"cause", r.Cause, "advice", r.Advice(names, ""), "error", err)
		return nil
	}
	return opened
}

// JournalOptions is the table of the options of a journal.
func JournalOptions() []option.Option[Journal] {
	return []option.Option[Journal]{
		{
			Spec: option.Spec{
				Name: "dir", Form: "path; the folder it is in must exist",
				Doc: "Folder in which it is noted what is already in Kinesis of contents that are under way. After a crash, a kill or a restart only what is missing is sent again. Without it all of such a content is.",
			},
			Field: func(j *Journal) any { return &j.Dir },
		},
		{
			Spec: option.Spec{
				Name: "sync", Kind: option.Bool, Default: "false",
				Doc: "Make the journal durable at each step, so that it also outlives the machine. Without it, it outlives the process alone.",
			},
			Field: func(j *Journal) any { return &j.Sync },
		},
		{
			Spec: option.Spec{
				Name: "size", Kind: option.Size, Default: "67108864", Min: mib, Max: 16 * gib,
				Doc: "Largest file of the journal. When more is under way, the oldest contents leave it, and are sent whole after a crash.",
			},
			Field: func(j *Journal) any { return &j.MaxBytes },
		},
		{
			Spec: option.Spec{
				Name: "age", Kind: option.Duration, Default: "24h", Min: min1, Max: 30 * 24 * hour,
				Doc: "How long the journal keeps a content that does not end, since its sender has given up.",
			},
			Field: func(j *Journal) any { return &j.MaxAge },
		},
	}
}

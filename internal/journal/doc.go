// SPDX-License-Identifier: Apache-2.0

// Package journal keeps on disk how far the delivery of contents got, so that a process
// that starts after a crash sends only what is missing. docs/journal.md has the format.
//
//	j, err := journal.Open(journal.Config{Dir: dir, Name: "kpl.0", Known: mine.Has})
//	...
//	for _, e := range j.Recovered() {
//		// what is missing of contents that an earlier process had under way
//	}
//	e := j.Begin(journal.Head{Identity: j.Identity(scope, chunk), Total: len(records)})
//	... put the records under core.WithBatchTag(ctx, &journal.Put{Entry: e})
//	e.Finish() // everything is settled; before the client hears of it
//
// # Guarantees
//
//   - A record counts as settled in a later process only if it was settled in an earlier
//     one, for an entry that had not ended. Whatever is damaged in the file makes
//     entries unusable and never the other way round.
//   - An entry is used once: Recovered entries are those of this process from then on, and
//     the file of the one before is replaced first.
//   - What is written before a call of PutRecords, and before a client hears that its
//     content is done, is in the page cache by then, with Config.Sync on disk.
//   - A failure to write is logged once and costs exactness alone. The file is emptied, as
//     it would claim what has changed since; it is written anew when that is possible.
//   - Identities are keyed hashes. The key is random, and nobody sees a hash, so that
//     nobody can make two contents with the same one.
//   - Nothing in the file is content of events. It has tags or routes, and stream names.
//
// # Limits
//
//   - Without Config.Sync a file is used only if the machine has not been started since it was
//     written, which is known on Linux alone.
package journal

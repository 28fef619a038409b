// SPDX-License-Identifier: Apache-2.0

// Package status is a page that shows what a producer and the server that feeds it
// are doing at this moment, and the same as JSON.
//
//	log := status.NewLog(handler)             // keeps the last warnings and errors
//	logger := slog.New(log)
//	...
//	page := status.New(status.Config{Producer: producer, Server: describe, Log: log})
//	go page.Run(ctx)                          // one sample a second, for the curves
//	mux.Handle("GET /{$}", page)              // and /app.js, /style.css, /icon.svg
//	mux.Handle("GET /status.json", page)
//
// # Guarantees
//
//   - It is read-only, shows no contents of events and no credentials.
//   - However many browsers watch, the producer is asked for its state at most twice
//     a second.
//   - Memory is bounded: two minutes of totals, four states of the producer, and
//     Lines kinds of log lines.
//   - The page loads nothing from elsewhere and runs no inline code; its
//     Content-Security-Policy forbids both.
//
// # Limits
//
// There is no authentication: it belongs on a listener that only operators reach.
// Rates are between two states, so the first answer after a pause has none.
package status

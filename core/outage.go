// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"time"
)

// outage is a time in which requests fail.
type outage struct {
	code   string // empty if none lasts
	detail string
	since  int64
	logged bool
}

// noteDegraded logs that requests fail: when the cause changes, and at most once a
// minute for the same cause, whether it lasts or comes and goes.
func (pl *pipeline) noteDegraded(v classification) {
	pl.logs.outage.detail = v.message
	if !pl.logs.noteFailing(v.code, pl.now) {
		return
	}
	next := "retrying"
	if v.action == actFail {
		next = "records fail"
	}
	pl.log(slog.LevelError, "cannot put records", append([]any{"next", next}, pl.cfg.failureArgs(v, actionPut)...)...)
}

// noteFailing notes that requests fail, and reports whether to log it.
func (l *streamLog) noteFailing(code string, now int64) bool {
	if l.outage.code == "" {
		l.outage.since, l.outage.logged = now, false
	}
	l.outage.code = code
	if l.lastCode == code && now-l.lastAt < int64(time.Minute) {
		return false
	}
	l.lastCode, l.lastAt, l.outage.logged = code, now, true
	return true
}

func (pl *pipeline) noteRecovered() {
	if pl.logs.outage.code == "" {
		return
	}
	if pl.logs.outage.logged {
		pl.log(slog.LevelInfo, "records are accepted again", "after", pl.logs.outage.code,
			"outage", time.Duration(pl.now-pl.logs.outage.since).Round(time.Millisecond))
	}
	pl.logs.outage.code, pl.logs.outage.detail = "", ""
	if pl.shardMap.Load() == nil && !pl.listing.active {
		pl.listing.due = pl.now // what kept the map away has likely ended, too
	}
}

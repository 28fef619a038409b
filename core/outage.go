// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"time"
)

// outage is a time in which requests fail.
type outage struct {
	code   string // empty if none lasts
	since  int64
	logged bool
}

// trouble logs that requests fail: when the cause changes, and at most once a
// minute for the same cause, whether it lasts or comes and goes.
func (pl *pipeline) trouble(v verdict) {
	if pl.logs.outage.code == "" {
		pl.logs.outage.since, pl.logs.outage.logged = pl.now, false
	}
	pl.logs.outage.code = v.code
	if pl.logs.lastCode == v.code && pl.now-pl.logs.lastAt < int64(time.Minute) {
		return
	}
	pl.logs.lastCode, pl.logs.lastAt, pl.logs.outage.logged = v.code, pl.now, true
	next := "retrying"
	if v.action == actFail {
		next = "records fail"
	}
	args := []any{"code", v.code, "detail", v.message, "next", next}
	if v.reason == ReasonAccessDenied {
		args = append(args, "needs", neededAction(v.code))
	}
	pl.log(slog.LevelError, "cannot put records", args...)
}

// neededAction names the IAM action whose absence the code tells of.
func neededAction(code string) string {
	if len(code) > 3 && code[:3] == "KMS" {
		return "kms:GenerateDataKey on the stream's key"
	}
	return "kinesis:PutRecords"
}

func (pl *pipeline) recovered() {
	if pl.logs.outage.code == "" {
		return
	}
	if pl.logs.outage.logged {
		pl.log(slog.LevelInfo, "records are put again", "after", pl.logs.outage.code,
			"outage", time.Duration(pl.now-pl.logs.outage.since).Round(time.Millisecond))
	}
	pl.logs.outage.code = ""
	if pl.shardMap.Load() == nil && !pl.listing.active {
		pl.listing.due = pl.now // what kept the map away has likely ended, too
	}
}

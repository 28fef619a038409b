// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"time"
)

// trouble logs that requests fail: when the cause changes, and at most once a
// minute for the same cause, whether it lasts or comes and goes.
func (pl *pipeline) trouble(v verdict) {
	if pl.troubleCode == "" {
		pl.troubleSince, pl.troubleShown = pl.now, false
	}
	pl.troubleCode = v.code
	if pl.loggedCode == v.code && pl.now-pl.logged < int64(time.Minute) {
		return
	}
	pl.loggedCode, pl.logged, pl.troubleShown = v.code, pl.now, true
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
	if pl.troubleCode == "" {
		return
	}
	if pl.troubleShown {
		pl.log(slog.LevelInfo, "records are put again", "after", pl.troubleCode,
			"outage", time.Duration(pl.now-pl.troubleSince).Round(time.Millisecond))
	}
	pl.troubleCode = ""
	if pl.shardMap.Load() == nil && !pl.refreshing {
		pl.refreshDue = pl.now // what kept the map away has likely ended, too
	}
}

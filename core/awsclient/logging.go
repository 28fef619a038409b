// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/aws/smithy-go/logging"
)

// sdkLogger takes the lines that the SDK would write to the standard error, past the
// log of the program.
type sdkLogger struct{ logger *slog.Logger }

func newSDKLogger(logger *slog.Logger) logging.Logger {
	if logger == nil {
		return logging.Nop{}
	}
	return sdkLogger{logger}
}

// Logf implements logging.Logger. What matters to the user comes out of the core as an
// error or a warning; these lines are for looking closer.
func (l sdkLogger) Logf(c logging.Classification, format string, args ...any) {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		l.logger.Debug("AWS SDK: "+fmt.Sprintf(format, args...), "level", string(c))
	}
}

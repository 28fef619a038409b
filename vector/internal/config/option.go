// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"

	"github.com/outkpl/outkpl/internal/option"
)

// EnvPrefix begins the names of all environment variables that set options.
const EnvPrefix = "KPL_HTTP_"

// Env is the name of the environment variable of an option, for instance
// KPL_HTTP_SERVER_LISTEN.
func Env(name string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// FormatSize writes a size in bytes as options have it: 64KiB, or 65537.
func FormatSize(n int64) string { return option.Plain.FormatSize(n) }

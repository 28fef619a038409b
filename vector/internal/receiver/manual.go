// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// commands are what the first argument can be.
var commands = []option.Spec{
	{Name: "run", Doc: "Serve"},
	{Name: "check", Doc: "Say what is wrong with a configuration"},
	{Name: "print-config", Doc: "Print the configuration in effect"},
	{Name: "schema", Doc: "Print the JSON Schema of the file"},
	{Name: "options", Doc: "Print a table of all options"},
	{Name: "metrics", Doc: "Print a table of the metrics of the server"},
	{Name: "manual", Doc: "Print the usage and all options"},
	{Name: "completion", Doc: "Print a script for a shell", Words: option.Shells()},
	{Name: "version", Doc: "Print the version"},
	{Name: "help", Doc: "Print the usage"},
}

const exitCodes = `
Exit codes:
  0  done; for run: everything was delivered
  1  something failed, or not everything was delivered
  2  the command line or the configuration is wrong
`

// shellProgram is what shells complete.
func shellProgram() *option.Program {
	flags := []*option.Spec{{Name: "config", Arg: "FILE", Doc: "File of the configuration."}}
	return &option.Program{
		Name: "kpl-http", Use: "kpl-http completion", Commands: commands, Joined: true,
		Flags: append(flags, option.Specs(config.Options())...),
	}
}

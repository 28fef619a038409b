// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
	"github.com/outkpl/outkpl/internal/remedy"
	"github.com/outkpl/outkpl/internal/version"
	"github.com/outkpl/outkpl/vector/internal/config"
	"github.com/outkpl/outkpl/vector/internal/status"
)

const usage = `kpl-http takes log events over HTTP and writes them to Kinesis Data Streams.

  kpl-http [run] [--config FILE] [--OPTION=VALUE ...]   serve
  kpl-http check [FILE] [--OPTION=VALUE ...]            say what is wrong with a configuration and the files it names
  kpl-http print-config [FILE] [--OPTION=VALUE ...]     the configuration in effect, and where it comes from
  kpl-http schema                                       JSON Schema of the file, for editors
  kpl-http options                                      table of all options
  kpl-http metrics                                      table of the metrics of the server
  kpl-http manual                                       this text and all options
  kpl-http completion bash|zsh|fish                     script for a shell
  kpl-http version

Each option can be a key of the file, an environment variable (server.listen is
KPL_HTTP_SERVER_LISTEN) or a flag (--server.listen=...). Flags win over variables,
those over the file. KPL_HTTP_CONFIG names the file if neither FILE nor --config does.
`

// Exit codes of Main.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main is the program. It returns the exit code: 0, 1 if something failed, 2 if the
// command line or the configuration is wrong. It serves until ctx ends.
func Main(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	command := "run"
	switch {
	case len(args) > 0 && !strings.HasPrefix(args[0], "-"):
		command, args = args[0], args[1:]
	case len(args) > 0 && args[0] == "--version":
		command = "version"
	}
	switch command {
	case "schema":
		_, _ = stdout.Write(config.JSONSchema())
		return exitOK
	case "options":
		_, _ = io.WriteString(stdout, config.Markdown())
		return exitOK
	case "metrics":
		_, _ = io.WriteString(stdout, MetricsMarkdown())
		return exitOK
	case "version":
		_, _ = fmt.Fprintln(stdout, "kpl-http", version.Version())
		return exitOK
	case "help":
		_, _ = io.WriteString(stdout, usage)
		return exitOK
	case "manual":
		_, _ = io.WriteString(stdout, usage+"\nOptions:\n"+option.Manual(option.Specs(config.Options()), option.Plain)+exitCodes)
		return exitOK
	case "completion":
		script := ""
		if len(args) == 1 {
			script = shellProgram().Completion(args[0])
		}
		if script == "" {
			_, _ = fmt.Fprintln(stderr, "completion takes the name of a shell: bash, zsh or fish")
			return exitUsage
		}
		_, _ = io.WriteString(stdout, script)
		return exitOK
	case "run", "check", "print-config":
	default:
		_, _ = fmt.Fprintf(stderr, "unknown command %q%s\n\n%s", command, meantCommand(command), usage)
		return exitUsage
	}
	for _, a := range args {
		if a == "-h" || a == "--help" || a == "-help" {
			_, _ = io.WriteString(stdout, usage)
			return exitOK
		}
	}
	src, err := sourcesOf(command, args, environ)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%v\n\n%s", err, usage)
		return exitUsage
	}
	cfg, err := config.Load(src)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exitUsage
	}
	switch command {
	case "check":
		if err := checkStart(ctx, cfg); err != nil {
			_, _ = fmt.Fprintln(stderr, err)
			return exitUsage
		}
		for _, note := range cfg.Notes {
			_, _ = fmt.Fprintln(stderr, note)
		}
		_, _ = fmt.Fprintln(stdout, "ok")
		return exitOK
	case "print-config":
		if err := cfg.Print(stdout); err != nil {
			_, _ = fmt.Fprintln(stderr, err)
			return exitFailed
		}
		return exitOK
	}
	kept := status.NewLog(NewLogger(&cfg.Log, stderr).Handler())
	log := slog.New(kept)
	for _, note := range cfg.Notes {
		log.Warn("the configuration uses another name of an option", "option", note)
	}
	if err := runWith(ctx, cfg, log, kept); err != nil {
		log.Error("ended with an error", "error", err)
		return exitFailed
	}
	return exitOK
}

// meantCommand is the advice for a command that does not exist.
func meantCommand(given string) string {
	var names []string
	for i := range commands {
		names = append(names, commands[i].Name)
	}
	if best := option.Nearest(given, names); best != "" {
		return "; did you mean kpl-http " + best + "?"
	}
	if strings.ContainsAny(given, "./") {
		return "; the file of the configuration is named by --config"
	}
	return ""
}

// sourcesOf takes the file out of the arguments.
func sourcesOf(command string, args, environ []string) (config.Sources, error) {
	src := config.Sources{Environ: environ}
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, config.ConfigEnv+"="); ok {
			src.File = v
		}
	}
	if command != "run" && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		src.File, args = args[0], args[1:]
	}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(strings.TrimPrefix(args[i], "-"), "=")
		if name != "-config" && name != "config" {
			src.Args = append(src.Args, args[i])
			continue
		}
		if !joined {
			if i++; i == len(args) {
				return src, errors.New("--config needs a file")
			}
			value = args[i]
		}
		src.File = value
	}
	return src, nil
}

// loadAWS reads what the environment and files say of AWS, without the network.
func loadAWS(ctx context.Context, cfg *config.Config, log *slog.Logger) (*awsclient.AWS, error) {
	c := cfg.AWS.Client()
	c.Product, c.Version = "kpl-http", version.Version()
	c.Logger = log
	shared, err := awsclient.Load(ctx, c)
	if errors.Is(err, awsclient.ErrNoRegion) {
		return nil, &option.Problem{Name: "aws.region", What: "no region is set, neither here nor by AWS_REGION, AWS_DEFAULT_REGION, the profile or the ARN of a stream", Allowed: "an AWS region, such as eu-west-1"}
	}
	return shared, err
}

// checkStart makes the parts that need no network, so that what would end the program at
// its start shows before. It changes nothing.
func checkStart(ctx context.Context, cfg *config.Config) error {
	log := slog.New(slog.DiscardHandler)
	shared, err := loadAWS(ctx, cfg, log)
	if err != nil {
		// The other parts do not depend on AWS, and all problems come out at once.
		shared, _ = awsclient.Load(ctx, awsclient.Config{Region: "us-east-1"})
		if shared == nil {
			return err
		}
	}
	producer, failed := core.New(shared.Kinesis(), cfg.Producer.Options()...)
	if failed != nil {
		return errors.Join(err, failed)
	}
	_, failed = New(cfg, producer, Deps{Logger: log, Getenv: os.Getenv})
	_, _, noMetrics := cfg.Metrics.Config()
	return errors.Join(err, failed, noMetrics, checkDeadLetters(cfg.DeadLetter.File), producer.Close(ctx))
}

// checkDeadLetters says why a file for dead letters could not be opened, without making it.
func checkDeadLetters(path string) error {
	if path == "" {
		return nil
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err == nil && !dir.IsDir() {
		err = fmt.Errorf("%s is not a directory", filepath.Dir(path))
	}
	if err != nil {
		return option.Wrong("dead_letter.file", path, err.Error(), "a file in a directory that exists")
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return option.Wrong("dead_letter.file", path, "is a directory", "a file")
	}
	return nil
}

// runWith puts the parts together and serves.
func runWith(ctx context.Context, cfg *config.Config, log *slog.Logger, kept *status.Log) error {
	shared, err := loadAWS(ctx, cfg, log)
	if err != nil {
		return err
	}
	observers, err := openObservers(ctx, cfg, shared, log)
	if err != nil {
		return err
	}
	notes := openJournal(cfg, log)
	options := slices.Concat(cfg.Producer.Options(), notes.Options(), []core.Option{core.WithLogger(log), core.WithOptionNames(remedy.Receiver), core.WithPlaces(false)})
	if observers.sink != nil {
		options = append(options, core.WithObserver(observers.sink))
	}
	producer, err := core.New(shared.Kinesis(), options...)
	if err != nil {
		return errors.Join(err, notes.Close(), observers.close(ctx))
	}
	if observers.sink != nil {
		observers.sink.Watch(producer)
	}
	switch cfg.AWS.StartupCheck {
	case table.CheckRequire:
		if err := checkStreams(ctx, cfg, shared, producer, log); err != nil {
			return errors.Join(err, producer.Close(ctx), notes.Close(), observers.close(ctx))
		}
	case table.CheckWarn:
		// Nobody waits for it: without a network it takes long.
		checking, cancel := context.WithCancel(ctx)
		var check sync.WaitGroup
		check.Go(func() { _ = checkStreams(checking, cfg, shared, producer, log) }) // logged there
		defer check.Wait()
		defer cancel()
	}
	deadLetters, err := openDeadLetters(&cfg.DeadLetter, producer, log)
	if err != nil {
		return errors.Join(err, producer.Close(ctx), notes.Close(), observers.close(ctx))
	}
	deps := Deps{Logger: log, DeadLetters: deadLetters, Journal: notes, Getenv: os.Getenv}
	deps.Region, deps.Endpoint = shared.Where(ctx)
	if observers.sink != nil {
		deps.Observer = observers.sink
	}
	s, err := New(cfg, producer, deps)
	if err == nil {
		err = observers.serve(s, log)
	}
	if err != nil {
		return errors.Join(err, producer.Close(ctx), notes.Close(), observers.close(ctx))
	}
	page := s.StatusPage(kept)
	page.Register(s.Handle)
	sampling, stop := context.WithCancel(context.WithoutCancel(ctx))
	var samples sync.WaitGroup
	samples.Go(func() { page.Run(sampling) })
	err = s.Run(ctx)
	stop()
	samples.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), observersTimeout)
	defer cancel()
	return errors.Join(err, observers.close(last))
}

// observersTimeout is how long the last metrics may take at the end. They are worth less
// than an exit in time.
const observersTimeout = 3 * time.Second

func openDeadLetters(cfg *config.DeadLetter, producer *core.Producer, log *slog.Logger) (deadletter.Sink, error) {
	switch {
	case cfg.File != "":
		return deadletter.OpenFile(deadletter.FileConfig{
			Path: cfg.File, MaxBytes: cfg.MaxBytes, MaxAge: cfg.MaxAge, MaxFiles: cfg.MaxFiles, DropOldest: cfg.DropOldest, Logger: log,
		})
	case cfg.Stream != "":
		return deadletter.NewStream(producer, cfg.Stream), nil
	}
	return nil, nil
}

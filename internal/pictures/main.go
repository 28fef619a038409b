// SPDX-License-Identifier: Apache-2.0

// Command pictures draws the pictures of a terminal in docs/ with Chromium: what make demo
// prints, and what kplcat top shows of a stream under load in kpl-local. `make pictures`
// builds the programs, and makes the pictures of the status page, too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"html"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "docs", "folder for the pictures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := errors.Join(demo(ctx, *out), top(ctx, *out))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// demo draws what make demo prints with the sample.
func demo(ctx context.Context, out string) error {
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "demo", "LOGS=sample")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("make demo failed: %w\n%s", err, text)
	}
	_, shown, found := strings.Cut("\n"+string(text), "\nevents ")
	if !found {
		return fmt.Errorf("make demo printed no line that begins with events:\n%s", text)
	}
	return draw(ctx, filepath.Join(out, "demo.png"), "$ make demo LOGS=sample\nevents "+shown, `^combine lines|^lost 0, duplicated 0$`)
}

const (
	topStream  = "logs"
	topAddress = "127.0.0.1:24567"
	topRows    = 24
	// topFor is long enough for three tables; the first has no full load yet.
	topFor = 16 * time.Second
	// clearScreen is before each table.
	clearScreen = "\x1b[H\x1b[2J"
)

// top draws what kplcat top shows on a terminal, of a stream that the host program fills.
func top(ctx context.Context, out string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for k, v := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL_KINESIS": "http://" + topAddress,
		"TERM": "xterm",
	} {
		os.Setenv(k, v)
	}
	stop, err := start(ctx, "build/kpl-local", "--listen", topAddress, "--streams", topStream+":4")
	if err != nil {
		return err
	}
	defer stop()
	stop, err = start(ctx, "build/flb-host", "--workers", "2", "--log-level", "1", "--kubernetes", "20000", "--repeat", "1000",
		"-p", "stream="+topStream, "-p", "partition_key=kubernetes->pod_name", "build/out_kpl.so")
	if err != nil {
		return err
	}
	defer stop()
	// script, a part of each Debian, gives the program a terminal.
	command := fmt.Sprintf("stty rows %d cols 110; exec timeout --foreground -s INT %.0f build/kplcat top %s", topRows, topFor.Seconds(), topStream)
	text, err := exec.CommandContext(ctx, "script", "-qfc", command, "/dev/null").Output()
	if err != nil {
		return fmt.Errorf("kplcat top failed: %w\n%s", err, text)
	}
	screens := strings.Split(strings.ReplaceAll(string(text), "\r", ""), clearScreen)
	return draw(ctx, filepath.Join(out, "kplcat-top.png"), "$ kplcat top "+topStream+"\n"+screens[len(screens)-1], "^"+topStream+" ")
}

// start starts a program, and returns what ends it.
func start(ctx context.Context, name string, args ...string) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}

const (
	lineHeight  = 20
	columnWidth = 8.43 // of DejaVu Sans Mono at 14 pixels
	border      = 20
	maxColumns  = 126 // what is longer is cut, as a terminal does
)

// draw draws a terminal with a text. The command, and lines that the expression finds, are
// brighter.
func draw(ctx context.Context, file, text, bright string) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	marked := regexp.MustCompile(bright)
	widest := 0
	var page strings.Builder
	page.WriteString(`<!doctype html><meta charset="utf-8"><style>body{margin:` + fmt.Sprint(border) + `px;background:#10151c;color:#e6e9ee}` +
		`pre{margin:0;font:14px/` + fmt.Sprint(lineHeight) + `px "DejaVu Sans Mono",monospace}b{color:#8fe0b0}</style><pre>`)
	for i, line := range lines {
		if r := []rune(line); len(r) > maxColumns {
			line = string(r[:maxColumns])
		}
		widest = max(widest, len([]rune(line)))
		if shown := html.EscapeString(line); i == 0 || marked.MatchString(line) {
			page.WriteString("<b>" + shown + "</b>\n")
		} else {
			page.WriteString(shown + "\n")
		}
	}
	dir, err := os.MkdirTemp("", "pictures")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "page.html")
	if err := os.WriteFile(path, []byte(page.String()), 0o600); err != nil {
		return err
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	size := fmt.Sprintf("--window-size=%d,%d", 2*border+int(columnWidth*float64(widest))+1, 2*border+lineHeight*len(lines))
	cmd := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir="+dir,
		size, "--screenshot="+file, "file://"+path)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot draw %s: %w\n%s", file, err, said)
	}
	fmt.Println(file)
	return nil
}

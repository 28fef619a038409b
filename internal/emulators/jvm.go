// SPDX-License-Identifier: Apache-2.0

package emulators

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// AvailableJVM returns nil if the real KCL and KPL can be run, else an error
// with ErrUnavailable in its chain that says what to do.
func AvailableJVM() error {
	_, _, err := findJVM()
	return err
}

// findJVM returns the java program and the folder with what "make jvm" makes.
func findJVM() (java, target string, err error) {
	if java, err = exec.LookPath("java"); err != nil {
		return "", "", fmt.Errorf("%w: java is not on PATH; install it (on Debian: apt-get install openjdk-17-jdk-headless maven) and run make jvm", ErrUnavailable)
	}
	dir, err := folder()
	if err != nil {
		return "", "", err
	}
	target = filepath.Join(dir, "java", "target")
	for _, pattern := range []string{"lib/amazon-kinesis-client-*.jar", "lib/amazon-kinesis-producer-*.jar", "classes/outkpl/DeaggregateKCL.class", "classes/outkpl/RunKPL.class"} {
		if found, err := filepath.Glob(filepath.Join(target, filepath.FromSlash(pattern))); err != nil || len(found) == 0 {
			return "", "", fmt.Errorf("%w: internal/emulators/java/target/%s is missing; run make jvm (on Debian: apt-get install openjdk-17-jdk-headless maven)", ErrUnavailable, pattern)
		}
	}
	return java, target, nil
}

// jvmCall is what to run.
type jvmCall struct {
	class string
	args  []string
	// jaxb puts a class on the class path that the KCL's dependencies lack.
	jaxb bool
}

// classPath lists our classes and the jars, with that of JAXB only if asked for.
func (c jvmCall) classPath(target string) (string, error) {
	jars, err := filepath.Glob(filepath.Join(target, "lib", "*.jar"))
	if err != nil {
		return "", err
	}
	if !c.jaxb {
		jars = slices.DeleteFunc(jars, func(jar string) bool { return strings.HasPrefix(filepath.Base(jar), "jaxb-api-") })
	}
	return strings.Join(append(jars, filepath.Join(target, "classes")), string(os.PathListSeparator)), nil
}

// runJVM runs one of our Java programs. write fills its standard input and read
// takes its standard output, at the same time, so that neither is kept in memory
// as a whole.
func runJVM(ctx context.Context, call jvmCall, write func(*json.Encoder) error, read func(*json.Decoder) error) error {
	class := call.class
	java, target, err := findJVM()
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", class, err)
	}
	path, err := call.classPath(target)
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", class, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The first compiler alone is quicker for programs of a few seconds.
	cmd := exec.CommandContext(ctx, java, append([]string{
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
		"-cp", path, "outkpl." + class,
	}, call.args...)...)
	cmd.WaitDelay = 5 * time.Second // should a child of it hold the pipes
	stderr := &output{found: true}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", class, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", class, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot run %s: %w", class, err)
	}
	written := make(chan error, 1)
	// The goroutine ends when everything is written or the program has gone.
	go func() {
		w := bufio.NewWriterSize(stdin, 1<<16)
		err := write(json.NewEncoder(w))
		if err == nil {
			err = w.Flush()
		}
		written <- errors.Join(err, stdin.Close())
	}()
	readErr := read(json.NewDecoder(stdout))
	if readErr != nil {
		cancel() // nobody reads what it still has to say
	}
	// Wait closes the pipes, so it comes last.
	writeErr := <-written
	runErr := cmd.Wait()
	if runErr != nil {
		// What else went wrong follows from it, as a rule; what it printed says more.
		return fmt.Errorf("cannot run %s: %w: %s", class, errors.Join(runErr, readErr), strings.TrimSpace(stderr.Tail()))
	}
	if err := errors.Join(readErr, writeErr); err != nil {
		return fmt.Errorf("cannot run %s: %w", class, err)
	}
	return nil
}

// countsFile is the variable that names a file. Each call of the KCL or the KPL adds a line
// to it with what was run and how many records it took and gave, so that a run of all
// tests can tell how much the real ones have read and written.
const countsFile = "JVM_COUNTS"

func count(what string, in, out int) {
	name := os.Getenv(countsFile)
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return // only a line of the summary is missing
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %d %d\n", what, in, out)
}

// eachLine decodes one JSON value after the other.
func eachLine[T any](dec *json.Decoder, use func(*T)) error {
	for {
		var v T
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot decode output: %w", err)
		}
		use(&v)
	}
}

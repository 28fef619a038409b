// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// scripts are all that are shipped, but for those of tests.
var scripts = []string{"try", ".ci/run", "tools/zig", "docker/images"}

func TestScriptsPleaseShellcheck(t *testing.T) {
	program, err := exec.LookPath("shellcheck")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no shellcheck; on Debian: apt-get install shellcheck")
		}
		t.Skip("NOT TESTED: no shellcheck here; on Debian: apt-get install shellcheck")
	}
	cmd := exec.Command(program, scripts...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// docker/images builds each stage that users run.
func TestAllImagesAreBuilt(t *testing.T) {
	want := map[string]bool{}
	for _, path := range glob(t, "docker/Dockerfile.*") {
		for _, in := range dockerfile(read(t, path)) {
			switch {
			case in.word != "FROM" || strings.HasPrefix(in.args[0], "golang:"):
			case len(in.args) == 3:
				want[path+" "+in.args[2]] = true
			default:
				want[path+" -"] = true
			}
		}
	}
	got := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t'[a-z-]+ (docker/Dockerfile\.\S+ \S+)'$`).FindAllStringSubmatch(read(t, "docker", "images"), -1) {
		got[m[1]] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("docker/images: unexpected images; got %v; want %v", got, want)
	}
}

// What is released was built and run before: CI calls docker/images, which has the same list.
func TestImagesThatAreReleasedAreRunInCI(t *testing.T) {
	if !strings.Contains(read(t, ".github/workflows/ci.yml"), "- run: make images\n") {
		t.Error("ci.yml: make images is not called")
	}
	list := func(path, expr string) map[string]bool {
		names := map[string]bool{}
		for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(read(t, path), -1) {
			names[m[1]] = true
		}
		return names
	}
	built := list("docker/images", `(?m)^\t'([a-z-]+) docker/Dockerfile\.`)
	released := list(".github/workflows/release.yml", `\{name: ([a-z-]+), file: docker/`)
	if len(built) < 5 || !maps.Equal(built, released) {
		t.Errorf("unexpected images; got %v in release.yml; want those of docker/images, %v", released, built)
	}
}

// What ./try fetches is the toolchain of go.mod, for both architectures. No module needs a newer one.
func TestSumsAreThoseOfTheToolchainInGoMod(t *testing.T) {
	version := goVersion(t)
	var want []string
	for _, arch := range []string{"amd64", "arm64"} {
		want = append(want, fmt.Sprintf("golang.org/toolchain v0.0.1-go%s.linux-%s h1:", version, arch))
	}
	lines := strings.Split(strings.TrimSpace(read(t, "tools", "toolchain.sum")), "\n")
	for i, line := range lines {
		sum := line[strings.LastIndexByte(line, ':')+1:]
		if b, err := base64.StdEncoding.DecodeString(sum); err != nil || len(b) != sha256.Size {
			t.Errorf("tools/toolchain.sum:%d: unexpected sum %q", i+1, sum)
		}
		lines[i] = strings.TrimSuffix(line, sum)
	}
	if !slices.Equal(lines, want) {
		t.Errorf("tools/toolchain.sum: unexpected lines; got %q; want %q, with the sums of: go mod download -json golang.org/toolchain@...", lines, want)
	}
	for _, file := range []string{"go.mod", "tools/go.mod", "internal/schemacheck/go.mod"} {
		m := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, file))
		if len(m) == 0 || older(version, m[1]) {
			t.Errorf("%s: unexpected version of Go; got %q; want one that is not above %s", file, m, version)
		}
	}
}

// older compares versions of three numbers.
func older(a, b string) bool {
	numbers := func(s string) (n [3]int) {
		_, _ = fmt.Sscanf(s, "%d.%d.%d", &n[0], &n[1], &n[2])
		return n
	}
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:], y[:]) < 0
}

// machine is one on which ./try runs: what is on PATH, which system it is, and who is there.
type machine struct {
	t        *testing.T
	dir, bin string // a copy of the project's files that it reads; PATH
	env      map[string]string
}

const debian = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian GNU/Linux 12 (bookworm)'\n"

// newMachine is a bare Debian for root. go.mod there names a Go that nobody has.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("NOT TESTED: ./try elsewhere than on Linux with amd64 or arm64")
	}
	m := &machine{t: t, dir: t.TempDir(), bin: t.TempDir()}
	m.env = map[string]string{"PATH": m.bin, "HOME": m.dir, "OS_RELEASE": m.dir + "/os-release", "GOPROXY": "off"}
	for _, name := range []string{"bash", "env", "awk", "sed", "sort", "head", "tail", "uname", "cat", "dirname", "mktemp", "rm", "mkdir", "mv", "cp", "find", "xargs", "sha256sum", "base64", "chmod"} {
		m.link(name)
	}
	m.write("os-release", debian)
	m.write("try", read(t, "try"))
	m.write("go.mod", "module x\n\ngo 9.9.1\n\ntoolchain go9.9.3\n")
	m.write("tools/toolchain.sum", "")
	m.fake("id", "echo 0")
	// Installs what Debian has in these packages.
	m.fake("apt-get", `echo "apt-get $*" >>calls; [[ $2 == update ]] || for p in "$@"; do case $p in
	gcc) cp made/cc made/nm "$BIN" ;; make) cp made/make "$BIN" ;; nodejs) cp made/node "$BIN" ;; npm) cp made/npm "$BIN" ;;
	unzip) cp made/unzip "$BIN" ;; curl) cp made/curl "$BIN" ;; esac; done`)
	m.env["BIN"] = m.bin
	for _, name := range []string{"cc", "nm", "node", "npm"} {
		m.write("made/"+name, "#!/bin/sh\n")
	}
	m.write("made/make", "#!/bin/sh\necho made \"$@\"\ngo version\n")
	for _, name := range []string{"unzip", "curl"} {
		if path, err := exec.LookPath(name); err == nil {
			m.write("made/"+name, "#!/bin/sh\nexec "+path+" \"$@\"\n")
		} else if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing; with CI=true nothing may be left out", name)
		} else {
			t.Skipf("NOT TESTED: ./try; %s is missing", name)
		}
	}
	return m
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) link(name string) {
	m.t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		err = os.Symlink(path, filepath.Join(m.bin, name))
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// fake puts a script on PATH, or takes it away.
func (m *machine) fake(name, script string) {
	m.t.Helper()
	path := filepath.Join(m.bin, name)
	_ = os.Remove(path)
	if script == "" {
		return
	}
	if err := os.WriteFile(path, []byte("#!"+m.bin+"/bash\n"+script+"\n"), 0o700); err != nil {
		m.t.Fatal(err)
	}
}

// installed puts everything there that apt-get would install.
func (m *machine) installed() {
	m.t.Helper()
	for _, name := range []string{"cc", "nm", "make", "node", "npm", "unzip", "curl"} {
		b, err := os.ReadFile(filepath.Join(m.dir, "made", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(m.bin, name), b, 0o700)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	for _, name := range []string{"javac", "mvn", "python3"} {
		m.fake(name, "exit 0")
	}
}

func (m *machine) try(args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(m.t.Context(), filepath.Join(m.bin, "bash"), append([]string{filepath.Join(m.dir, "try")}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	for k, v := range m.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if err := cmd.Run(); cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (m *machine) wants(args []string, wantCode int, stdout, stderr string, not ...string) {
	m.t.Helper()
	out, errs, code := m.try(args...)
	if code != wantCode || !strings.Contains(out, stdout) || stdout == "" && out != "" || !strings.Contains(errs, stderr) {
		m.t.Errorf("./try %s: unexpected result; got exit code %d, output %q, and:\n%s\nwant exit code %d, %q in the output, and:\n%s", strings.Join(args, " "), code, out, errs, wantCode, stdout, stderr)
	}
	for _, text := range not {
		if strings.Contains(out+errs, text) {
			m.t.Errorf("./try %s: unexpected %q in:\n%s%s", strings.Join(args, " "), text, out, errs)
		}
	}
}

// calls are those of apt-get so far.
func (m *machine) calls() string {
	b, _ := os.ReadFile(filepath.Join(m.dir, "calls"))
	return string(b)
}

// toolchain makes the archive of a Go that knows its version alone, and has the project
// know its sum. The sum is calculated here once more, from what Go says it is.
func (m *machine) toolchain(version, says string) (file []byte, name string) {
	m.t.Helper()
	name = fmt.Sprintf("v0.0.1-go%s.linux-%s", version, runtime.GOARCH)
	prefix := "golang.org/toolchain@" + name + "/"
	content := map[string]string{
		prefix + "bin/go":                 "#!/bin/sh\ncat \"${0%/bin/go}/src/go.mod\" >/dev/null && \"${0%/bin/go}/pkg/tool/linux/compile\" && echo go version go" + says + " linux/x\n",
		prefix + "pkg/tool/linux/compile": "#!/bin/sh\n",
		prefix + "src/_go.mod":            "module std\n",
		prefix + "src/a file with blanks": "x",
		prefix + "src-is/sorted":          "before src/",
		prefix + "VERSION":                version,
	}
	var archive, list bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, path := range slices.Sorted(maps.Keys(content)) {
		f, err := w.Create(path)
		if err != nil {
			m.t.Fatal(err)
		}
		_, _ = f.Write([]byte(content[path]))
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256([]byte(content[path])), path)
	}
	if err := w.Close(); err != nil {
		m.t.Fatal(err)
	}
	sum := sha256.Sum256(list.Bytes())
	m.write("tools/toolchain.sum", "golang.org/toolchain "+name+" h1:"+base64.StdEncoding.EncodeToString(sum[:])+"\n")
	return archive.Bytes(), name
}

// proxy puts the archive into a folder that GOPROXY may name.
func (m *machine) proxy(file []byte, name string) string {
	m.t.Helper()
	m.write("proxy/golang.org/toolchain/@v/"+name+".zip", string(file))
	return "file://" + m.dir + "/proxy"
}

func TestTryOnABareMachineSaysWhatItWouldDo(t *testing.T) {
	m := newMachine(t)
	m.wants([]string{"demo", "--dry-run", "LOGS=a b"}, 0, "", "missing      a C compiler\n", "nodejs", "maven")
	m.wants([]string{"demo", "--dry-run", "LOGS=a b"}, 0, "",
		"would run    apt-get update && apt-get install --no-install-recommends gcc libc6-dev binutils make unzip\n"+
			"would fetch  Go 9.9.3 into .cache/v0.0.1-go9.9.3.linux-"+runtime.GOARCH+"\n"+
			"would run    make demo LOGS=a b\n")
	m.wants([]string{"demo", "KINESIS=kinesalite", "-n"}, 0, "", "binutils make nodejs npm unzip\n")
	m.wants([]string{"test", "-n"}, 0, "", "apt-get install --no-install-recommends gcc libc6-dev binutils make nodejs npm curl openjdk-17-jdk-headless maven python3-venv\n", "unzip")
	m.wants([]string{"ci", "-n"}, 0, "", "would run    apt-get download prometheus")
	if m.calls() != "" {
		t.Errorf("unexpected calls in a dry run:\n%s", m.calls())
	}
	if _, err := os.Stat(m.dir + "/.cache"); err == nil {
		t.Error("unexpected folder .cache in a dry run")
	}
}

func TestTryInstallsWhatIsMissingAndThenNothing(t *testing.T) {
	m := newMachine(t)
	m.env["GOPROXY"] = m.proxy(m.toolchain("9.9.3", "9.9.3"))
	m.wants([]string{"demo", "A=b c"}, 0, "made demo A=b c\ngo version go9.9.3 linux/x\n", "installs     gcc libc6-dev binutils make unzip (apt-get")
	want := "apt-get -q update\napt-get -q install -y --no-install-recommends gcc libc6-dev binutils make unzip\n"
	if m.calls() != want {
		t.Errorf("unexpected calls; got:\n%s\nwant:\n%s", m.calls(), want)
	}
	// Neither apt-get nor a network nor root from here on.
	m.fake("apt-get", "echo called >>calls; exit 1")
	m.fake("id", "echo 1000")
	m.env["GOPROXY"] = "off"
	m.wants([]string{"demo"}, 0, "made demo\ngo version go9.9.3 linux/x\n", "")
	m.wants([]string{"demo", "-n"}, 0, "", "would run    make demo\n", "apt-get", "fetch")
	m.wants([]string{"demo", "--env"}, 0, "export PATH="+m.dir+"/.cache/v0.0.1-go9.9.3.linux-"+runtime.GOARCH+"/bin:"+m.bin+"\n", "")
	if m.calls() != want {
		t.Errorf("unexpected calls; got:\n%s\nwant:\n%s", m.calls(), want)
	}
	entries, err := os.ReadDir(m.dir + "/.cache")
	if err != nil || len(entries) != 2 {
		t.Errorf("unexpected entries of .cache; got %v (%v); want apt.log and Go", entries, err)
	}
}

// What would start a server, or take another package away, is only unpacked.
func TestTryUnpacksWhatMustNotBeInstalled(t *testing.T) {
	m := newMachine(t)
	m.installed()
	m.env["GOPROXY"] = m.proxy(m.toolchain("9.9.3", "9.9.3"))
	m.fake("apt-get", `echo "${PWD##*/} apt-get $*" >>`+m.dir+`/calls; [[ $2 == download ]] && for p in "${@:3}"; do echo >"$p"_1_all.deb; done; exit 0`)
	m.fake("dpkg-deb", `p=${2%%_*}; case $p in prometheus) f=usr/bin/promtool ;; rsyslog) f=usr/sbin/rsyslogd ;; *) f=usr/lib/$p ;; esac
mkdir -p "$3/${f%/*}" && echo >"$3/$f" && chmod +x "$3/$f"`)
	m.wants([]string{"ci", "--env"}, 0, "/.cache/promtool/usr/bin", "unpacks      prometheus into .cache/promtool (apt-get download)\n")
	want, files := "promtool apt-get -q download prometheus\n", []string{"promtool/usr/bin/promtool"}
	if _, err := os.Stat("/usr/sbin/rsyslogd"); err != nil {
		want += "rsyslog apt-get -q download rsyslog libestr0 libfastjson4\n"
		files = append(files, "rsyslog/usr/sbin/rsyslogd", "rsyslog/usr/lib/libestr0", "rsyslog/usr/lib/libfastjson4")
	} else {
		t.Log("rsyslog is installed here, so that it is not unpacked")
	}
	if !strings.HasSuffix(m.calls(), want) {
		t.Errorf("unexpected calls; got:\n%s\nwant at the end:\n%s", m.calls(), want)
	}
	for _, name := range files {
		if _, err := os.Stat(filepath.Join(m.dir, ".cache", name)); err != nil {
			t.Error(err)
		}
	}
	m.wants([]string{"ci", "-n"}, 0, "", "would run    .ci/run\n", "download")
	m.fake("dpkg-deb", "exit 1")
	if err := os.RemoveAll(m.dir + "/.cache/promtool"); err != nil {
		t.Fatal(err)
	}
	m.wants([]string{"ci", "--env"}, 1, "", "apt-get download prometheus failed")
}

// After ./try one can go on with make. Another Go that is installed goes first.
func TestMakeFindsTheGoThatTryHasFetched(t *testing.T) {
	m := newMachine(t)
	m.installed()
	m.write("Makefile", read(t, "Makefile"))
	program, err := exec.LookPath("make")
	if err != nil {
		t.Fatal(err)
	}
	checkTools := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), program, "-s", "check-tools")
		cmd.Dir, cmd.Env = m.dir, []string{"PATH=" + m.bin}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	of := func(version string) string {
		return ".cache/v0.0.1-go" + version + ".linux-" + runtime.GOARCH + "/bin/go"
	}
	m.write(of("9.9.2"), "#!/bin/sh\necho go9.9.2\n") // left by an older go.mod
	if out, err := checkTools(); err == nil || !strings.Contains(out, "go is missing") {
		t.Errorf("unexpected result without Go; got error %v and %q", err, out)
	}
	m.write(of("9.9.3"), "#!/bin/sh\necho go9.9.3\n")
	if out, err := checkTools(); err != nil {
		t.Errorf("unexpected result with a Go in .cache; got error %v and %q; want none", err, out)
	}
	m.fake("go", "echo go1.2.3")
	if out, err := checkTools(); err == nil || !strings.Contains(out, "Go 1.2.3 is too old") || !strings.Contains(out, "./try") {
		t.Errorf("unexpected result with an old Go installed; got error %v and %q; want what to do", err, out)
	}
}

func TestTryUsesSudoWithTheProxies(t *testing.T) {
	m := newMachine(t)
	m.fake("id", "echo 1000")
	m.fake("go", "echo go version go9.9.1 linux/x")
	m.fake("sudo", `echo "sudo $*" >>calls; "$@"`)
	m.env["https_proxy"] = "http://proxy:1"
	m.wants([]string{"demo"}, 0, "made demo\ngo version go9.9.1 linux/x\n", "")
	if want := "sudo env DEBIAN_FRONTEND=noninteractive https_proxy=http://proxy:1 apt-get -q update\n"; !strings.HasPrefix(m.calls(), want) {
		t.Errorf("unexpected calls; got:\n%s\nwant first:\n%s", m.calls(), want)
	}
}

func TestTryListsWhatItCannotInstall(t *testing.T) {
	for what, change := range map[string]func(*machine) string{
		"another system": func(m *machine) string {
			m.write("os-release", "ID=fedora\nVERSION_ID=43\n")
			return "error: this system (fedora-43) is neither Debian 12 nor Ubuntu 24.04"
		},
		"another Debian": func(m *machine) string {
			m.write("os-release", "ID=debian\nVERSION_ID=\"13\"\n")
			return "error: this system (debian-13) is neither"
		},
		"no os-release": func(m *machine) string {
			m.env["OS_RELEASE"] = m.dir + "/none"
			return "error: this system (without /etc/os-release) is neither"
		},
		"neither root nor sudo": func(m *machine) string {
			m.fake("id", "echo 1000")
			return "error: something is missing, and neither root nor sudo is here to install it\n"
		},
		"an architecture without Go": func(m *machine) string {
			m.fake("uname", "case $1 in -s) echo Linux ;; *) echo riscv64 ;; esac")
			return "error: Linux on riscv64 has no Go that can be fetched from here\n"
		},
		"apt-get fails": func(m *machine) string {
			m.fake("apt-get", "echo no such host; exit 100")
			return "no such host\nerror: apt-get update failed; all that it said is in .cache/apt.log\n"
		},
	} {
		t.Run(what, func(t *testing.T) {
			m := newMachine(t)
			want := change(m)
			m.wants([]string{"demo"}, 1, "", want, "made")
			m.wants([]string{"demo"}, 1, "", "Please install:\n  a C compiler\n  nm (binutils)\n  GNU make\n", "made")
			if m.calls() != "" {
				t.Errorf("unexpected calls:\n%s", m.calls())
			}
			// With everything there, nobody asks what system it is.
			if what == "apt-get fails" {
				return
			}
			m.installed()
			m.fake("go", "echo go version go9.9.2 linux/x")
			for _, target := range []string{"demo", "test"} {
				m.wants([]string{target}, 0, "made "+target+"\ngo version go9.9.2 linux/x\n", "")
			}
		})
	}
}

func TestTryRefusesAGoWithAnotherSum(t *testing.T) {
	m := newMachine(t)
	m.installed()
	file, name := m.toolchain("9.9.3", "9.9.3")
	sums, err := os.ReadFile(m.dir + "/tools/toolchain.sum")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := m.toolchain("9.9.3", "9.9.4")
	m.write("tools/toolchain.sum", string(sums))
	m.env["GOPROXY"] = m.proxy(other, name)
	m.wants([]string{"demo"}, 1, "", "unexpected sum; got h1:", "made")
	if entries, err := os.ReadDir(m.dir + "/.cache"); err != nil || len(entries) != 0 {
		t.Errorf("unexpected entries of .cache; got %v (%v); want none", entries, err)
	}
	m.proxy(file[:len(file)-30], name) // was cut off
	if out, errs, code := m.try("demo"); code == 0 || out != "" {
		t.Errorf("unexpected result with half an archive; got exit code %d, %q, %q", code, out, errs)
	}
	m.write("tools/toolchain.sum", "")
	m.proxy(file, name)
	m.wants([]string{"demo"}, 1, "", "error: tools/toolchain.sum has no sum of golang.org/toolchain "+name+"\n", "made")
	m.write("tools/toolchain.sum", string(sums))
	m.wants([]string{"demo"}, 0, "made demo\ngo version go9.9.3 linux/x\n", "")
}

func TestTryTakesGoFromTheFirstProxyThatHasIt(t *testing.T) {
	m := newMachine(t)
	m.installed()
	file, name := m.toolchain("9.9.3", "9.9.3")
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		if strings.HasPrefix(r.URL.Path, "/none/") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(file)
	}))
	defer s.Close()
	m.env["GOPROXY"] = "direct," + s.URL + "/none|" + s.URL + "/some/"
	m.wants([]string{"demo"}, 0, "made demo\ngo version go9.9.3 linux/x\n", "")
	path := "/golang.org/toolchain/@v/" + name + ".zip"
	if want := []string{"/none" + path, "/some" + path}; !slices.Equal(asked, want) {
		t.Errorf("unexpected requests; got %q; want %q", asked, want)
	}
	m = newMachine(t)
	m.installed()
	_, _ = m.toolchain("9.9.3", "9.9.3")
	m.env["GOPROXY"] = "off," + s.URL
	m.wants([]string{"demo"}, 1, "", "error: Go 9.9.3 cannot be fetched; GOPROXY=off,", "made")
}

func TestTryUsesAnInstalledGoIfItIsNewEnough(t *testing.T) {
	for version, fetched := range map[string]bool{"1.19.8": true, "9.9": true, "9.9.0": true, "9.9.1": false, "9.10.0": false, "10.1": false} {
		m := newMachine(t)
		m.installed()
		m.env["GOPROXY"] = m.proxy(m.toolchain("9.9.3", "9.9.3"))
		m.fake("go", "[[ $GOTOOLCHAIN == local || $# == 1 ]] && echo go version go"+version+" linux/x")
		before, err := os.ReadFile(m.bin + "/go")
		if err != nil {
			t.Fatal(err)
		}
		want := version
		if fetched {
			want = "9.9.3"
		}
		m.wants([]string{"test"}, 0, "made test\ngo version go"+want+" linux/x\n", "")
		if after, err := os.ReadFile(m.bin + "/go"); err != nil || !bytes.Equal(before, after) {
			t.Errorf("the installed Go was changed (%v)", err)
		}
		if _, err := os.Stat(m.dir + "/.cache"); (err == nil) != fetched {
			t.Errorf("unexpected folder .cache with Go %s; got %v; want it only for what was fetched", version, err)
		}
	}
}

func TestTryRefusesUnknownArguments(t *testing.T) {
	m := newMachine(t)
	for _, args := range [][]string{{}, {"demos"}, {"demo", "test"}, {"demo", "--dry"}, {"LOGS=x"}, {"demo", "-j", "2"}} {
		m.wants(args, 2, "", "", "made")
	}
	m.wants([]string{"--help"}, 0, "usage: ./try demo|test|ci", "")
}

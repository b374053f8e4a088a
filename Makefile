# Everything that people and CI do here. Tools are pinned and run through the Go module proxy; nothing else is needed
# but Go and, for the lab, Linux with root, python3 and pip (docs/lab.md).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

# The name of the lab that the e2e tests bring up and take down again.
MESHPOL_LAB ?= e2e
export MESHPOL_LAB

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/meshpol ## build bin/meshpol, one static binary

.PHONY: bin/meshpol
bin/meshpol:
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/meshpol ./cmd/meshpol

.PHONY: bin/lab
bin/lab:
	@cd lab && CGO_ENABLED=0 go build -trimpath -o ../bin/lab ./cmd/lab

.PHONY: bin/demo
bin/demo:
	@cd lab && CGO_ENABLED=0 go build -trimpath -o ../bin/demo ./cmd/demo

.PHONY: test
test: ## unit tests of meshpol: no cluster, no network
	@echo '==> unit tests'
	@go test ./...

.PHONY: test-lab
test-lab: ## unit tests of the lab
	@echo '==> unit tests of the lab'
	@cd lab && go test ./...

.PHONY: lab-build
lab-build: bin/lab ## build the lab's programs (15 minutes from nothing on two cores, then kept)
	@bin/lab up --build-only

.PHONY: e2e
e2e: bin/meshpol bin/lab ## end-to-end tests on real Envoys in a lab of their own (root)
	@echo '==> end-to-end tests'
	@hack/e2e

.PHONY: test-all
test-all: test test-lab e2e ## every test there is

.PHONY: cover
cover: ## coverage of the packages under pkg
	@go test -coverpkg=./pkg/... -coverprofile=coverage.out ./... >/dev/null
	@go tool cover -func=coverage.out | tail -n 1

.PHONY: bin/bench
bin/bench:
	@cd lab && CGO_ENABLED=0 go build -trimpath -o ../bin/bench ./cmd/bench

.PHONY: bench
bench: bin/meshpol bin/lab bin/bench ## benchmarks: of the code, then of rollouts in a real mesh under load (root, 20 minutes)
	@hack/bench $(BENCH)
	@$(MAKE) analysis

.PHONY: analysis
analysis: ## simulate many services and harms: docs/analysis.md and its plots (some minutes)
	@go run ./internal/analysis

.PHONY: soak
soak: bin/meshpol bin/lab ## the end-to-end tests again and again: make soak SOAK=20
	@cd lab && go test -tags e2e ./e2e/... -count=$(or $(SOAK),10) -timeout 12h

.PHONY: demo
demo: bin/meshpol bin/lab bin/demo ## rollouts in a real mesh on this machine, good and bad (root)
	@hack/demo

.PHONY: generate
generate: ## write docs/reference anew
	@go generate ./...
	@mkdir -p docs/reference/commands
	@go run ./cmd/meshpol docs docs/reference/commands

.PHONY: golden
golden: ## accept what the tests got as their golden files
	@go test ./internal/printer ./internal/golden ./cmd/meshpol -update

.PHONY: lint
lint: ## golangci-lint with .golangci.yml
	@go run $(GOLANGCI) run ./...

.PHONY: vuln
vuln: ## known vulnerabilities in what the binary calls
	@hack/vuln $(GOVULNCHECK)

.PHONY: fmt-check
fmt-check:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not gofmt (run: gofmt -w FILE):"; echo "$$unformatted"; exit 1; fi

.PHONY: generated-check
generated-check: generate
	@if [ -n "$$(git status --porcelain -- docs/reference)" ]; then \
	echo 'docs/reference is out of date: run make generate and commit it'; git status --short -- docs/reference; exit 1; fi

.PHONY: cross
cross: ## compile for every platform of a release
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
	echo "$$target"; CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build -o /dev/null ./cmd/meshpol; done

.PHONY: verify
verify: fmt-check generated-check lint vuln test ## all that must hold before a merge, except e2e

.PHONY: clean
clean: ## remove what was built; running labs and the build cache stay
	@rm -rf bin dist coverage.out

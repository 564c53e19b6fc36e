# People's shorthand for the commands; every recipe can be typed by hand.
# Only Go, GNU make, bash and git are needed: the tools are built from tools/go.mod.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

RACE     ?= -race
FUZZTIME ?= 5s
BENCH    ?= .
# Directories of the modules that lint and vuln look at: `make lint MODULES=". deploy"`.
MODULES  ?= . deploy local local/browser tools/workflows
# What a release has programs for.
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
# A copy of the Go vulnerability database, file:// or https://; empty is the public one.
VULNDB   ?=
# 1: an unreachable vulnerability database is a warning, not a failure.
OFFLINE  ?= 0

TOOL := go tool -modfile='$(CURDIR)/tools/go.mod'

.PHONY: help gen check verify score up test testdeploy e2e browser typescript fuzz bench benchapply lint vuln fmt tidy release

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-10s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

gen: ## render every unit into golden/, and the configuration schema into schema/ and docs/
	@go run ./cmd/gen
	@go run ./cmd/gen schema

check: ## fail with a diff when a generated file is not what the code says
	@go run ./cmd/gen check
	@go run ./cmd/gen schema -check

# In a process group of its own, an interrupt at the terminal reaches only the program, whose end in order is the recipe's.
up: gen ## deploy the fleet staging to a control plane on this machine, until Ctrl-C (the first time compiles Kubernetes and Pulumi: half an hour)
	@[[ ! -t 0 ]] || set -m; \
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	go -C local build -o "$$dir/local" .; \
	cd local; "$$dir/local" up

verify: ## hold what is rendered against the rules of isolation, safety, capacity and validity
	@go run ./cmd/gen verify

score: ## have golden/ judged by kubeconform and kube-score
	@go -C local run ./score

test: ## run the tests of the root module (RACE= where there is no C compiler)
	go test $(RACE) ./...

testdeploy: ## run the tests of deploy/, which compile Pulumi's SDK
	go -C deploy test ./...

e2e: ## apply, change, break, mend and merge on a real control plane (the first time compiles Kubernetes and Pulumi: half an hour)
	@go -C local run . build >/dev/null
	go -C local test -count=1 -p 1 -timeout 20m -skip '^TestEngine$$' ./...
	go -C local test -count=1 -timeout 30m -parallel 4 -v -run '^TestEngine$$' ./engine | grep -v '^ *=== '

benchapply: ## measure deploying against kubectl (ten minutes; see docs/performance.md)
	go -C local test -run '^$$' -bench Apply -benchtime 1x -timeout 30m ./engine

browser: ## hold the page and the comment of a review against a real browser (needs Chromium or Chrome)
	go -C local/browser test -count=1 ./...

typescript: ## type-check the generated TypeScript and run it (needs Node.js 20 and npm)
	npm ci --prefix config/schema/testdata/typescript --no-audit --no-fund
	go test -tags typescript -run TypeScript -count=1 ./config/schema

fuzz: ## run every fuzz target for FUZZTIME each
	@list=$$(go test -list '^Fuzz' ./...) || { echo "$$list"; exit 1; }; \
	awk '/^Fuzz/ { name[n++] = $$1 } /^ok/ { while (n) print $$2, name[--n] }' <<<"$$list" \
	| while read -r pkg name; do \
		echo "fuzz $$pkg $$name"; \
		go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$pkg" </dev/null; \
	done

bench: ## run the benchmarks that match BENCH
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# golangci-lint runs go-check-sumtype too, over all packages at once.
lint: ## run the linters, that of the workflows too, then vuln
	@echo 'lint .github/workflows'
	@go -C tools/workflows test ./...
	@go -C tools/workflows run . '$(CURDIR)/.github/workflows'
	@for dir in $(MODULES); do echo "lint $$dir"; (cd "$$dir"; $(TOOL) golangci-lint run --build-tags typescript ./...); done
	@$(MAKE) --no-print-directory vuln

vuln: ## look for known vulnerabilities that the code reaches
	@for dir in $(MODULES); do \
		echo "vuln $$dir"; \
		if out=$$(cd "$$dir"; $(TOOL) govulncheck $(if $(VULNDB),-db '$(VULNDB)') ./... 2>&1); then echo "$$out"; continue; fi; \
		echo "$$out"; \
		[[ $$out == *"govulncheck: fetching vulnerabilities:"* ]] || exit 1; \
		echo "WARNING: vulnerability database unreachable: NOTHING WAS CHECKED"; \
		[[ '$(OFFLINE)' == 1 ]] || { echo "OFFLINE=1 makes this a warning, VULNDB=URL names a copy"; exit 1; }; \
	done

fmt: ## format the code as lint expects it
	@$(TOOL) golangci-lint fmt ./...

tidy: ## fail with a diff when go.mod or go.sum of any module is not tidy
	@for mod in $$(git ls-files --cached --others --exclude-standard go.mod '*/go.mod'); do \
		echo "tidy $$mod"; go -C "$$(dirname "$$mod")" mod tidy -diff; \
	done

release: ## build the programs of a release, with what they are made of and their sums, into dist/
	@rm -rf dist && mkdir dist
	@for platform in $(PLATFORMS); do \
		program=dist/gen-$${platform/\//-}; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} go build -trimpath -o "$$program" ./cmd/gen; \
		go tool -modfile='$(CURDIR)/tools/sbom/go.mod' cyclonedx-gomod bin -json -output "$$program.cdx.json" "$$program"; \
	done
	@cd dist && sha256sum * >SHA256SUMS

# PATCHED goes before a command that builds: with the modules as patches/ edits them.
PATCHED = GOFLAGS=$$(scripts/goflags) && export GOFLAGS &&
GOBUILD = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'

.PHONY: help build demo test clients soak bench check fuzz

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## bin/gateway and bin/provision, static
	$(PATCHED) $(GOBUILD) -o bin/ ./cmd/...

demo: build ## try it: two hosts behind one port, removed again (ARGS=--once: only the transcript)
	@BERTH_BASE_IMAGE=$$(scripts/base-image); export BERTH_BASE_IMAGE; exec bin/gateway demo $(ARGS)

test: ## every test, against a real Docker engine and OpenSSH
	@scripts/setup-test scripts/test

clients: ## every client and editor of docs/clients.md (about 20 minutes)
	@BERTH_CLIENTS=all scripts/setup-test scripts/clients

soak: ## what takes long: 8 GiB by one scp, 200 slow readers, a thousand cut, killed and reloaded (about 20 minutes)
	@$(PATCHED) BERTH_SOAK=1 scripts/setup-test go test -v -count=1 -timeout 60m -p 1 -run 'TestMachine|TestContainer|TestKilled|TestReloads|TestSmallPackets' ./test/load ./test/life ./test/change ./patches

bench: build ## what the gateway costs beside a published port, into docs/performance.md (about 15 minutes)
	@scripts/setup-test go run ./bench -out docs/performance -page docs/performance.md $(ARGS)

check: ## gofmt, vet, staticcheck, known vulnerabilities, modules and their licences
	@scripts/check

fuzz: ## each fuzz target for 10 s
	@scripts/fuzz

# Go keeps its caches under HOME and works in TMPDIR. Where there is no such
# directory to write to, both are under bin.
writable = $(shell [ -d "$$$(1)" ] && [ -w "$$$(1)" ] && echo yes)
ifneq ($(call writable,HOME),yes)
export GOCACHE ?= $(CURDIR)/bin/.cache/build
export GOPATH ?= $(CURDIR)/bin/.cache/go
endif
ifneq ($(origin TMPDIR),undefined)
ifneq ($(call writable,TMPDIR),yes)
unexport TMPDIR
endif
endif

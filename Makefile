# PATCHED goes before a command that builds: with the modules as patches/ edits them.
PATCHED = scripts/need-go && GOFLAGS=$$(scripts/goflags) && export GOFLAGS &&
SOAK_FOR = 1h
GOBUILD = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'

.PHONY: help build demo test test-kube clients soak bench bench-all check fuzz release reproduce

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

build: ## bin/berth-gateway and bin/berth-provision, static
	@$(PATCHED) for program in gateway provision; do $(GOBUILD) -o bin/berth-$$program ./cmd/$$program || exit; done

demo: build ## try it: two hosts behind one port, removed again (ARGS=--once: only the transcript)
	@BERTH_BASE_IMAGE=$$(scripts/base-image); export BERTH_BASE_IMAGE; exec bin/berth-gateway demo $(ARGS)

test: ## every test, against a real Docker engine and OpenSSH
	@scripts/need-go && scripts/setup-test scripts/test

test-kube: ## hosts that are pods of a cluster of two nodes, built from its sources at first (as root; about 15 minutes)
	@scripts/need-go && scripts/setup-test scripts/test-kube

clients: ## every client and editor of docs/clients.md (about 20 minutes)
	@BERTH_CLIENTS=all scripts/setup-test scripts/clients

soak: build ## what takes long: 8 GiB by one scp, 200 slow readers, 5,000 idle connections, a thousand cut, killed and reloaded, floods, thousands of small sessions, an hour of everything (SOAK_FOR=5m for less), other people's suites (hours)
	@$(PATCHED) BERTH_SOAK=1 scripts/setup-test go test -v -count=1 -timeout 60m -p 1 -run 'TestMachine|TestContainer|TestKilled|TestReloads|TestSmallPackets|TestInside|TestSmallSessions|TestUpgradesUnderLoad|TestAnUpgradeToAnotherVersion|TestABrowser' ./test/load ./test/life ./test/change ./test/identity ./test/owner ./patches
	@$(PATCHED) BERTH_SOAK=1 scripts/setup-test go test -v -count=1 -timeout 60m -run 'TestBoxes|TestSlowLink' ./test/boxes
	@$(PATCHED) BERTH_SOAK=1 scripts/setup-test go test -v -count=1 -timeout 60m -run 'TestDoors/.*/.*/order|TestDoors/.*/.*/forwards/remote_port_in_use|TestDoors/.*/.*/traces/forwarded_' ./test/forwards ./test/parity
	@$(PATCHED) BERTH_SOAK=1 scripts/setup-test go test -v -count=1 -timeout 60m -run 'WhereverProvisionIsKilled|WhereverTheEngineIsKilled|SurvivesAKill' ./cmd/provision
	@$(PATCHED) for program in gateway provision; do $(GOBUILD) -o bin/soak/$$program ./cmd/$$program || exit; done
	@$(PATCHED) BERTH_SOAK=1 BERTH_TEST_PROGRAMS=$(CURDIR)/bin/soak scripts/setup-test scripts/setup-kube go test -v -count=1 -timeout 90m -run 'TestSlowLink|HarmsNoHostElsewhere|TestALostNode' ./test/kube
	@$(PATCHED) BERTH_SOAK=1 BERTH_TEST_PROGRAMS=$(CURDIR)/bin/soak scripts/setup-test go test -v -count=1 -timeout 60m -run 'TestFloods|TestRandom|TestHostile|TestArm64|TestGoInstall|TestTheSeed' ./test/attack ./test/install ./test/migration
	@$(PATCHED) BERTH_SOAK=1 BERTH_TEST_PROGRAMS=$(CURDIR)/bin/soak scripts/setup-test go test -v -count=1 -timeout 180m -run 'TestSwapped|TestAnAddress' ./test/attack ./gateway
	@$(PATCHED) BERTH_SOAK=1 BERTH_SOAK_FOR=$(SOAK_FOR) BERTH_SOAK_REPORT=$(CURDIR)/docs/performance/soak.md BERTH_TEST_PROGRAMS=$(CURDIR)/bin/soak scripts/setup-test go test -v -count=1 -timeout 90m -run 'TestIdleConnections|TestSoak' ./test/load
	@BERTH_SOAK=1 scripts/setup-test scripts/foreign

bench: build ## what the gateway costs beside a published port, into docs/performance.md (about 6 minutes)
	@scripts/setup-test go run ./bench -out docs/performance -page docs/performance.md $(ARGS)

bench-all: ## both runs, and what grows, into docs/performance.md (about 16 minutes, in five pieces)
	@$(MAKE) bench
	@$(MAKE) bench ARGS='-name second'
	@$(MAKE) bench ARGS='-name growth-users -rows "growth of users" -doors exec'
	@$(MAKE) bench ARGS='-name growth-hosts -rows "growth of hosts" -doors route-exec'
	@$(MAKE) bench ARGS='-name growth-connections -rows "growth of connections" -doors route-exec'

check: ## gofmt, vet, staticcheck, known vulnerabilities, modules and their licences, ssh-audit, each fuzz target for 10 s
	@scripts/need-go && scripts/check

fuzz: ## each fuzz target for 10 s
	@scripts/need-go && scripts/fuzz

release: ## bin/release: .deb, .rpm and .tar.gz for amd64 and arm64, SBOM, checksums
	@scripts/release

reproduce: ## a release twice, with nothing in common but the commit, and compares them
	@scripts/reproduce

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

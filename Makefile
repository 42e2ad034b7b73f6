GOBUILD = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'

.PHONY: help build demo test clients soak bench check fuzz

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## bin/gateway and bin/provision, static
	$(GOBUILD) -o bin/ ./cmd/...

demo: build ## try it: two hosts behind one port, removed again (ARGS=--once: only the transcript)
	@BERTH_BASE_IMAGE=$$(scripts/base-image); export BERTH_BASE_IMAGE; exec bin/gateway demo $(ARGS)

test: ## every test, against a real Docker engine and OpenSSH
	@scripts/setup-test scripts/test

clients: ## every client and editor of docs/clients.md (about 20 minutes)
	@BERTH_CLIENTS=all scripts/setup-test scripts/clients

soak: ## what takes long: 8 GiB by one scp, 200 slow readers, a thousand cut and a thousand killed (about 15 minutes)
	@BERTH_SOAK=1 scripts/setup-test go test -v -count=1 -timeout 60m -run 'TestLoads|TestKilled|TestLife/connections|TestContainer/loads|TestContainer/connections' ./test

bench: build ## what the gateway costs beside a published port, into docs/performance.md (about 15 minutes)
	@scripts/setup-test go run ./bench -out docs/performance -page docs/performance.md $(ARGS)

check: ## gofmt, vet, staticcheck, known vulnerabilities
	@scripts/check

fuzz: ## each fuzz target for 10 s
	@scripts/fuzz

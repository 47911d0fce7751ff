# Throng. Each target is one short line; what the tests need is installed by "make tools".

GO         ?= go
FUZZTIME   ?= 60s
SEEDS      ?= 10000
FIRST      ?= 1000
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: run build test lint race fuzz sim mutants bench hostile soak microbench tools

run: ## the server and its page, on :8080
	$(GO) run .

build: ## bin/throng, bin/echo, bin/bench and bin/peers
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ . ./examples/echo ./bench
	cd bench/peers && CGO_ENABLED=0 $(GO) build -trimpath -o ../../bin/ .

test: tools lint build race ## everything that must hold

lint: ## formatting, vet, staticcheck, other systems
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	cd bench/peers && $(GO) vet ./...
	GOARCH=arm64 $(GO) vet . ./poller ./server
	GOOS=darwin $(GO) build -o /dev/null .
	$(STATICCHECK) ./...
	cd bench/peers && $(STATICCHECK) ./...

sim: ## SEEDS runs of the whole server on the simulated kernel, from seed FIRST: docs/reliability.md
	$(GO) test ./server -run 'TestSimulation$$' -count 1 -timeout 0 -v -sim.seeds $(SEEDS) -sim.first $(FIRST)

mutants: ## known faults put into the code one at a time: the simulation has to find each
	$(GO) test ./server -run 'TestMutants$$' -count 1 -timeout 0 -v -sim.mutants 1000

race: ## the tests, under the race detector and in random order; before them the portable unmasking, the peers, and what it makes too slow
	$(GO) test -tags purego ./frame
	$(GO) test ./server -run 'TestSimulation'
	cd bench/peers && $(GO) test ./...
	$(GO) test -run Conformance ./examples/echo
	$(GO) test -race -shuffle=on ./...

fuzz: ## each fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$p || exit 1; done; done

bench: ## Throng beside other servers, on this machine: docs/benchmarks.md and its pictures, in under ten minutes
	$(GO) run ./bench standard --docs docs/benchmarks.md

hostile: ## attacks while honest pairs talk, in under twenty minutes: the table of docs/reliability.md
	$(GO) run ./bench hostile --docs docs/reliability.md

soak: ## stopped processes, full disks, kill -9, lossy and cut links, in five minutes: the other table there
	$(GO) run ./bench faults --docs docs/reliability.md

microbench: ## benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

tools: ## a C compiler, for the race detector; Node and Chromium, for the client library and the page
	@sh .ci/tools

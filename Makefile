# Throng. Each target is one short line; what the tests need is installed by "make tools".

GO         ?= go
FUZZTIME   ?= 60s
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: run build test lint race fuzz bench tools

run: ## the server and its page, on :8080
	$(GO) run .

build: ## bin/throng and bin/echo
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ . ./examples/echo

test: tools lint build race ## everything that must hold

lint: ## formatting, vet, staticcheck, other systems
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet . ./poller ./server
	GOOS=darwin $(GO) build -o /dev/null .
	$(STATICCHECK) ./...

race: ## the tests, under the race detector and in random order; then the portable unmasking
	$(GO) test -tags purego ./frame
	$(GO) test -race -shuffle=on ./...

fuzz: ## each fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$p || exit 1; done; done

bench: ## benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

tools: ## a C compiler, for the race detector
	@sh .ci/tools

# The commands that README, CI and users rely on. Nothing here needs an AWS
# account but the ones that name a STACK other than sandbox.

SHELL := /bin/bash
sandbox := .sandbox/bin/sandbox

.PHONY: help up preview down status test test-unit test-engine lint bench generate FORCE

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: $(sandbox) ## set up what is missing, then `pulumi up` of the stack sandbox against the local AWS
	@$(sandbox) up

preview: $(sandbox) ## what `make up` would change
	@$(sandbox) preview

down: $(sandbox) ## destroy the stack and stop what make up started
	@$(sandbox) down

status: $(sandbox) ## what runs, and where
	@$(sandbox) status

test: ## every test, on a fresh machine, with the time of each phase
	@.ci/test all

test-unit: ## the fast tests: no engine, no containers
	@.ci/test unit

test-engine: ## the tests on the sandbox: real engine, real provider, real containers
	@.ci/test engine

lint: ## golangci-lint at the pinned version
	@.ci/test lint

bench: $(sandbox) ## the figures that matter, each as a ratio or with its conditions
	@$(sandbox) bench

generate: ## what is generated from the typed config and outputs: Pulumi.yaml's config block, docs
	go run ./infra/config/generate
	go run ./outputs/generate

$(sandbox): FORCE
	@mkdir -p $(@D)
	@cd sandbox && go build -o ../$@ .

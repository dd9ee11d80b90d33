# The commands that README, CI and users rely on. Nothing here needs an AWS
# account but the ones that name a STACK other than sandbox.

SHELL := /bin/bash
# Compiled packages are shared by all that is built here and by Pulumi's language
# host, which builds the program with -trimpath.
export GOFLAGS := $(shell go env GOFLAGS) -trimpath
sandbox := .sandbox/bin/sandbox
launch := .sandbox/bin/launch
deliver := .sandbox/bin/deliver
dashboard := .sandbox/bin/dashboard
sizing := .sandbox/bin/sizing

# The commands about sessions: PLAYER names the user, STACK the stack.
STACK ?= sandbox
launcher = $(if $(filter sandbox,$(STACK)),$(sandbox) exec) $(abspath $(launch)) --stack $(STACK) $(if $(filter sandbox,$(STACK)),--poll 200ms)
dashboards = $(if $(filter sandbox,$(STACK)),$(sandbox) exec) $(abspath $(dashboard)) -stack $(STACK)
sizer = $(if $(filter sandbox,$(STACK)),$(sandbox) exec) $(abspath $(sizing)) -stack $(STACK) $(if $(filter sandbox,$(STACK)),-poll 200ms)
deliverer = $(if $(filter sandbox,$(STACK)),$(sandbox) exec) $(abspath $(deliver)) -stack $(STACK) $(if $(filter sandbox,$(STACK)),-by $(abspath $(sandbox)))
# AWS Batch ends the sessions of a stack that is destroyed, so that is refused while
# there are any, unless PLAYING is end.
ending = $(if $(PLAYING),-playing=$(PLAYING))
asking = $(if $(filter end,$(PLAYING)),,$(launcher) vacant --anyway "make destroy STACK=$(STACK) PLAYING=end" &&)
destroyer = $(if $(filter sandbox,$(STACK)),$(sandbox) destroy $(ending),$(asking) pulumi destroy --stack $(STACK))
player = $(or $(PLAYER),$(error PLAYER is missing: make $@ PLAYER=player1))

.PHONY: help up preview preview-summary capacity down destroy sandbox-status status usage dashboard sizing session sessions session-logs session-end acceptance doctor release rollback keep-image delivery-token check-runners test test-unit test-engine guardrails lint bench bench-session bench-image scaling check-game screenshots pin pin-tags pin-dcv generate FORCE

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

up: $(sandbox) ## set up what is missing, then `pulumi up` of the stack sandbox against the local AWS
	@$(sandbox) up

preview: $(sandbox) ## what `make up` would change
	@$(sandbox) preview

preview-summary: $(sandbox) ## the same for a reviewer, in Markdown: what a pull request is given as a comment
	@rm -f .sandbox/preview.json
	@$(sandbox) preview -json .sandbox/preview.json $(if $(CONFIG),-config $(CONFIG)) >&2; status=$$?; \
	go run ./cmd/summary --stack sandbox --status $$status .sandbox/preview.json; exit $$status

capacity: ## the sessions that a host of STACK carries, what limits them and their cost, by its file alone
	@go run ./cmd/capacity --stack $(STACK)

down: $(sandbox) ## destroy the stack and stop what make up started; not while anybody plays, unless PLAYING=end
	@$(sandbox) down $(ending)

destroy: $(sandbox) $(launch) ## destroy STACK; not while anybody plays or waits, unless PLAYING=end
	@$(destroyer)

sandbox-status: $(sandbox) ## the sandbox's processes and their logs
	@$(sandbox) status

status: $(sandbox) $(launch) ## STACK on one screen: sessions, waits and reasons, hosts, today's cost
	@$(launcher) status

usage: $(sandbox) $(launch) ## each user's sessions, hours, wait and cost in a month; MONTH=2026-11, CSV=yes
	@$(launcher) usage $(if $(MONTH),--month $(MONTH)) $(if $(CSV),--csv)

dashboard: $(sandbox) $(dashboard) ## STACK's CloudWatch dashboard as a page with pictures, and its path; SINCE=P7D, PAGE=file.html
	@$(dashboards) -page $(or $(PAGE),.sandbox/dashboard-$(STACK).html) $(if $(SINCE),-since $(SINCE))

sizing: $(sandbox) $(sizing) ## how many sessions of the game a host of STACK carries, measured with USERS=a,b,c; MINUTES=10, FRAMES=30, TYPE=g6.xlarge, TO=folder
	@$(sizer) -users $(or $(USERS),$(error USERS is missing: make $@ USERS=player1,player2)) \
	$(if $(MINUTES),-for $(MINUTES)m) $(if $(FRAMES),-frames $(FRAMES)) $(if $(TYPE),-type $(TYPE)) $(if $(TO),-to $(TO))

session: $(sandbox) $(launch) ## start PLAYER's session and wait until it is ready (STACK=dev: on AWS; PASSWORD=show)
	@$(launcher) start $(if $(filter show,$(PASSWORD)),--password) $(player)

sessions: $(sandbox) $(launch) ## who plays and who waits, and why
	@$(launcher) list

session-logs: $(sandbox) $(launch) ## PLAYER's session's log, until it ends
	@$(launcher) logs --follow $(player)

session-end: $(sandbox) $(launch) ## end PLAYER's session
	@$(launcher) end $(player)

acceptance: $(sandbox) $(launch) ## try a deployed stack through the launcher; LAUNCHER_ROLE=ARN checks its limits too
	@$(launcher) acceptance $(if $(PLAYER),--user $(PLAYER)) $(if $(LAUNCHER_ROLE),--launcher-role $(LAUNCHER_ROLE))

doctor: $(sandbox) $(launch) ## try on a host of STACK what only a GPU host can show, as PLAYER or the first user
	@$(launcher) doctor $(if $(PLAYER),--user $(PLAYER))

release: $(sandbox) $(deliver) ## in the sandbox: upload a game build and see it delivered; BUILD=game.tar.zst, or a new one of the sandbox's game
	@$(sandbox) release $(if $(BUILD),-build $(BUILD))

rollback: $(sandbox) $(deliver) ## let STACK's new sessions run the image before the present one, or TO=tag
	@$(deliverer) rollback $(TO)

keep-image: $(sandbox) $(deliver) ## tag the image that STACK has, so that its repository keeps it as a released one
	@$(deliverer) keep

delivery-token: $(sandbox) $(deliver) ## give STACK's connection to GitHub the token on standard input
	@$(deliverer) token

check-runners: $(deliver) ## check that only the rollout may use GitHub's runner group GROUP; asks for a token that reads it
	@$(abspath $(deliver)) -stack $(STACK) runners $(or $(GROUP),$(error GROUP is missing: make $@ STACK=dev GROUP=name))

test: ## every test, on a fresh machine, with the time of each phase
	@.ci/test all

test-unit: ## the fast tests: no engine, no containers
	@.ci/test unit

test-engine: ## the tests on the sandbox: real engine, real provider, real containers
	@.ci/test engine

guardrails: ## the rules that what every environment declares is held against, and the exceptions from them
	@go run ./cmd/guardrails

lint: ## golangci-lint and actionlint, at the pinned versions
	@.ci/test lint

bench: $(sandbox) ## the figures that matter, each as a ratio or with its conditions
	@$(sandbox) bench

bench-session: $(sandbox) ## how soon a session's page answers, and that its port does until the end
	@$(sandbox) bench-session

bench-image: $(sandbox) ## what a change of the game pushes, and the size of each layer
	@$(sandbox) bench-image

scaling: $(sandbox) ## how long players wait and which quota is reached first, from 10 to 1,000,000 sessions a day; REAL=1 runs 200 in the sandbox first
	@$(sandbox) scaling $(if $(REAL),-real)

screenshots: ## take the pictures of docs/images anew, by the browser tests
	@mkdir -p docs/images && DCV_SCREENSHOTS=$(abspath docs/images) .ci/test engine

check-game: ## what can be checked of GAME, a folder or an archive; IMAGE=a session image
	@mkdir -p .sandbox/bin && CGO_ENABLED=0 go build -o .sandbox/bin/checkgame ./image/checkgame
	@.sandbox/bin/checkgame $(if $(IMAGE),--image $(IMAGE)) $(or $(GAME),$(error GAME is missing: make $@ GAME=path/to/game))

pin: pin-tags pin-dcv ## both of these

pin-tags: ## write what tags stand for now: actions' commits, base images' digests; PIN_REGISTRY=the registry's URL
	@PIN_REGISTRY=$(PIN_REGISTRY) go run ./cmd/pin

pin-dcv: ## write the checksum of DCV's server; DCV_SOURCE=the folder's URL
	@DCV_SOURCE=$(DCV_SOURCE) go run ./image/fetch pin image/packages/dcv.yaml

generate: ## what is generated from the typed config and outputs: Pulumi.yaml's config block, docs
	go run ./cmd/generate
	go test ./infra/stack -count=1 -run TestTheSecurityPageShowsEveryGrantWithItsReason -update
	go test ./components/observability -count=1 -run TestTheCostPageShowsTheBill -update

$(launch): FORCE
	@mkdir -p $(@D)
	@go build -o $@ ./cmd/launch

$(dashboard): FORCE
	@mkdir -p $(@D)
	@go build -o $@ ./cmd/dashboard

$(sizing): FORCE
	@mkdir -p $(@D)
	@go build -o $@ ./cmd/sizing

$(deliver): FORCE
	@mkdir -p $(@D)
	@go build -o $@ ./cmd/deliver

$(sandbox): FORCE
	@mkdir -p $(@D)
	@[[ -e $@ ]] || echo "==> building the sandbox (about 3 minutes on a fresh machine)"
	@cd sandbox && go build -o ../$@ .

# Needs make and Python 3.11 or newer; `make` alone says what there is.

.DEFAULT_GOAL := help
.PHONY: help run test package fuzz check load bench reliability-kill reliability-pairs reliability-model reliability-store reliability-stop reliability-outage reliability-handing-over reliability-points reliability-leave reliability-freeze reliability-sign-in oauth-machine outage peers pictures open-meteo
.DELETE_ON_ERROR:

PIP := .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check
TESTERS ?= 2
USERS ?= 100
FOLDER ?= dist
OUTAGE ?= 60
EXPERIMENTS := kill pairs model store stop outage handing-over points leave freeze sign-in
TURNS ?= 300

help:
	@echo 'make run [PORT=8080] [STORE=firestore]  the backend on localhost, with emulators of what lies outside'
	@echo 'make test [TESTERS=2]                   all tests, by so many processes'
	@echo 'make package [FOLDER=dist]              the plugin package for ChatGPT and Codex, and the form for its review'
	@echo 'make fuzz [CASES=2000] [SEED=1]         the product against its own OpenAPI document, by schemathesis'
	@echo 'make check                              lint, format, types'
	@echo 'make load [USERS=100] [ROW=1] [SLOW=5]  the load test; SLOW percent of the turns take 20 s at the model'
	@echo 'make bench                              the benchmarks'
	@echo 'make reliability-kill [SIZE=200]         A1: SIGKILL of processes in mid-turn, so many times'
	@echo 'make reliability-pairs [SIZE=1000]       A2: simultaneous turns on two processes'
	@echo 'make reliability-model [SIZE=50]         A4: so many turns in each fault of the model'"'"'s server'
	@echo 'make reliability-store [SIZE=100]        A13: faults of the store, at so many percent of their full size'
	@echo 'make reliability-stop [SIZE=200]         A15: SIGTERM in mid-turn, so many times'
	@echo 'make reliability-outage [SIZE=60]        A16: the model is out for so many seconds'
	@echo 'make reliability-handing-over [SIZE=500] A20: so many slow turns over a Pub/Sub that fails and repeats'
	@echo 'make reliability-points [SIZE=200]       F29: SIGKILL so many times at every point of a turn'
	@echo 'make reliability-leave [SIZE=500]        F32: so many clients that leave'
	@echo 'make reliability-freeze [SIZE=100]       F35: so many processes that are stopped, and wake up'
	@echo 'make reliability-sign-in [SIZE=200]      A6, A9: codes and refresh tokens, by many at once'
	@echo 'make oauth-machine [RUNS=500]            The authorization server against a model of it, 50 steps a run'
	@echo 'make outage [OUTAGE=60]                 retries, breaker and recovery while an upstream is out for so many seconds'
	@echo 'make peers [TURNS=300]                  two processes on one session, beside google-adk and openai-agents'
	@echo 'make pictures                           the README'"'"'s pictures of the pages of the sign-in, anew'
	@echo 'make open-meteo                         fetch the published file that three tests of the weather emulator read'

# PORT and STORE reach the runner as environment variables: make exports what stands on its command line.
run: .venv/.runtime
	@.venv/bin/python -m infra.local

test: .venv/.tests tests/node_modules/.installed
	@.venv/bin/python -m pytest -q --numprocesses=$(TESTERS) --dist=loadfile --no-loadscope-reorder $(PYTEST)

package: .venv/.runtime
	@.venv/bin/python -m infra.plugin_package '$(FOLDER)'

# CASES and SEED reach the test as environment variables, too.
fuzz: .venv/.tests
	@.venv/bin/python -m pytest -q -rP tests/functions/test_fuzz.py

check: .venv/.tests
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet . || { echo 'Not formatted: .venv/bin/ruff format .'; exit 1; }
	@.venv/bin/mypy --no-error-summary

load: .venv/.tests
	@.venv/bin/python -m tests.load $(USERS)

bench: .venv/.tests
	@.venv/bin/python -m tests.bench

oauth-machine: .venv/.tests
	@.venv/bin/python -m tests.core.oauth.machine $(or $(RUNS),500)

$(EXPERIMENTS:%=reliability-%): reliability-%: .venv/.tests
	@.venv/bin/python -m tests.reliability $* $(SIZE)

outage: .venv/.tests
	@.venv/bin/python -m tests.reliability.outage $(OUTAGE)

# It installs the peers under .cache/ once; that needs the network.
peers: .venv/.tests
	@.venv/bin/python -m tests.reliability.peers $(TURNS)

# The folder reaches the test as an environment variable.
pictures: export PICTURES := infra/pictures
pictures: .venv/.tests tests/node_modules/.installed
	@.venv/bin/python -m pytest -q tests/functions/test_pages_in_chromium.py -k pictures

# A pyenv shim may be on the path and still have no Python behind it: only running one tells.
.venv/bin/python:
	@for python in python3.13 python3.12 python3.11 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo 'No Python 3.11 or newer was found (tried python3.13, python3.12, python3.11, python3). Install one.' >&2; exit 1; fi; \
	if ! $$found -m venv .venv; then \
	  rm -rf .venv; \
	  echo "$$found cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi

# Stamps: what is installed is installed again only when the list of packages changes, and everything works offline until then.
.venv/.runtime: requirements.txt | .venv/bin/python
	@echo 'Installing what the backend needs; the first time takes a minute.'
	@$(PIP) -r requirements.txt || { echo 'The packages could not be installed; pip says why above. This needs the network once.' >&2; exit 1; }
	@touch $@

.venv/.tests: tests/requirements.txt .venv/.runtime
	@echo 'Installing what the tests need.'
	@$(PIP) -r tests/requirements.txt || { echo 'The packages could not be installed; pip says why above. This needs the network once.' >&2; exit 1; }
	@touch $@

# The tests that need Node skip without it.
tests/node_modules/.installed: tests/package.json tests/package-lock.json
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
	  echo 'Installing what the tests that run on Node need.'; \
	  npm ci --prefix tests --silent --no-audit --no-fund && touch $@ || \
	    { echo 'The npm packages could not be installed. This needs the network once.' >&2; exit 1; }; \
	fi

# It belongs to its authors and no package carries it, so it is fetched on demand; the tests know its SHA-256.
open-meteo:
	@mkdir -p .cache
	curl -fsSL -o .cache/open-meteo-forecast.yml https://raw.githubusercontent.com/open-meteo/open-meteo/ba13de1c0556938e317b7adc240d527f10ba4c94/openapi/forecast.yml

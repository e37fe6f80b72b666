# make run opens the chat, make test proves that it works. Both need Python 3.11 or newer, no more.

PYTHON ?= python3
INDEX ?= default
BIN := .venv/bin
export Q

.PHONY: help run ask test check bench constraints clean install install-dev chromium

help:
	@echo 'make run             install, fetch the models, open the chat in the browser'
	@echo 'make ask Q="…"       one answer in the terminal'
	@echo 'make test            install what the tests need, then check and test everything'
	@echo 'make check           lint, format, types, import direction, links'
	@echo 'make bench           speed and quality of answers; QUERIES=file INDEX=name: of retrieval too'
	@echo 'make constraints     resolve all dependencies anew into constraints.txt'
	@echo 'make clean           remove .venv and what was built (models and indexes stay)'

run: install
	@$(BIN)/career ui

ask: install
	@test -n "$$Q" || { echo 'say what to ask: make ask Q="Which degree do I need?"' >&2; exit 2; }
	@$(BIN)/career ask -- "$$Q"

test:
	@start=$$(date +%s); $(MAKE) --no-print-directory install-dev chromium || exit; \
	ready=$$(date +%s); $(MAKE) --no-print-directory check && $(BIN)/pytest; status=$$?; \
	echo "installation $$((ready - start)) s, check and tests $$(($$(date +%s) - ready)) s"; \
	exit $$status

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -m static

bench: install
	$(BIN)/career-eval bench answer
	@test -z "$(QUERIES)" || $(BIN)/career-eval bench retrieval --queries "$(QUERIES)" --index "$(INDEX)"

constraints:
	$(PYTHON) .ci/constraints.py > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

# An installation is skipped while the files that it came from are those of the last one: then
# nothing is asked of the network. The development one serves for both.
STATE := cat pyproject.toml constraints.txt
# Compiled here, on all cores and whatever PYTHONDONTWRITEBYTECODE says: else each `career` compiles
# what it imports, which takes two seconds. Some packages hold files for other Pythons.
COMPILE = $(BIN)/python -m compileall -q -j 0 .venv/lib corpus index assistant eval > /dev/null 2>&1 || true

install: $(BIN)/pip
	@$(STATE) | cmp -s - .venv/installed || { \
	  echo 'installing into .venv (some minutes, about 2 GB) …' >&2; \
	  $(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e . \
	  && { $(COMPILE); } && $(STATE) > .venv/installed; }

install-dev: $(BIN)/pip
	@$(STATE) | cmp -s - .venv/installed-dev || { \
	  echo 'installing into .venv, with the tools of the tests (some minutes, about 2 GB) …' >&2; \
	  $(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[all,dev]' \
	  && { $(COMPILE); } && $(STATE) > .venv/installed && $(STATE) > .venv/installed-dev; }

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or newer is needed; name one: make … PYTHON=python3.12' >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo 'Python cannot make environments; on Debian or Ubuntu: apt-get install python3-venv' >&2; \
	  exit 2; }

# The tests of the chat drive a real browser.
chromium:
	@for name in chromium chromium-browser google-chrome; do \
	  command -v $$name > /dev/null && exit 0; \
	done; \
	if test "$$(id -u)" = 0 && command -v apt-get > /dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get -qq update && apt-get -qq -y install --no-install-recommends chromium > /dev/null; \
	else \
	  echo 'the tests of the chat need Chromium; on Debian: apt-get install chromium' >&2; exit 2; \
	fi

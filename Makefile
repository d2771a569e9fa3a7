# `make demo` opens the app, `make test` runs the tests that take minutes, `make test-all` these and the rest; all set
# up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch is one version on PyPI and on PyTorch's own index; without an NVIDIA driver the latter's CPU build is taken.
TORCH ?= torch==2.13.0
TORCH_INDEX := $(shell command -v nvidia-smi >/dev/null 2>&1 || echo --extra-index-url https://download.pytorch.org/whl/cpu)
# What the page fetches (decoders, ...) comes from npm where there is one, else from jsDelivr. Tests need esbuild, which
# bundles the page's scripts, axe-core, which looks for barriers on the page, and Khronos' validator of GLB files.
APP := src/bilabial/app
NPM_INSTALL = mkdir -p $(VENV)/npm && cp $(APP)/package.json $(APP)/package-lock.json $(VENV)/npm && \
	npm ci --silent --no-audit --no-fund --prefix $(VENV)/npm
# Tests run in so many processes; one has the browser's.
TEST_PROCESSES ?= 2
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadgroup
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

.PHONY: setup demo live train-setup pretrain test test-all lint bundle clean

setup: $(VENV)/.app $(VENV)/.npm

$(VENV)/.torch:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --retries 1 $(TORCH_INDEX) '$(TORCH)'
	touch $@

$(VENV)/.app: $(VENV)/.torch requirements.txt
	$(BIN)/pip install --quiet --retries 1 -r requirements.txt
	touch $@

$(VENV)/.npm: $(VENV)/.torch $(APP)/package-lock.json
	-command -v npm >/dev/null && $(NPM_INSTALL) --omit=dev && touch $@

$(VENV)/.checkers: $(VENV)/.npm
	-command -v npm >/dev/null && $(NPM_INSTALL) && touch $@

# The page's scripts and three.js in one file, which is committed: run it after a change in $(APP)/static or package.json.
bundle: $(VENV)/.checkers
	cd $(APP) && PATH=$(abspath $(VENV))/npm/node_modules/.bin:$$PATH NODE_PATH=$(abspath $(VENV))/npm/node_modules \
		npm run --silent build

$(VENV)/.train: $(VENV)/.app pyproject.toml
	$(BIN)/pip install --quiet --editable '.[train]'
	touch $@

$(VENV)/.test: $(VENV)/.app pyproject.toml
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

demo: setup
	$(BIN)/python app.py

# The static demo: plain files in build/live, which animate in the browser.
live: $(VENV)/.test $(VENV)/.checkers
	$(BIN)/python -m tools.make_live

train-setup: $(VENV)/.train

# The embedded model from public sources; train/pretrain/Makefile says what it needs. Variables are passed on.
pretrain: $(VENV)/.train
	$(MAKE) --file train/pretrain/Makefile PYTHON=$(BIN)/python pretrain

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(VENV)/.test $(VENV)/.npm $(VENV)/.checkers
	$(if $(CHROMIUM),,@echo "no chromium found: the browser test will be skipped (apt-get install chromium)")
	$(PYTEST) -m "not slow"

test-all: test
	$(PYTEST) -m slow

clean:
	rm -rf $(VENV) build dist src/*.egg-info

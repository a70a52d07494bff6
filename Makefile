# make setup | serve | test | check | bench, and nothing else to learn.
# Each target sets up what it needs in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
OLDER := .venv-clients-older
PEERS := .venv-peers-infinity .venv-peers-onnx
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
ARGS ?=
DATA ?= ../shared/data

.PHONY: setup serve test test-clients check docs soak bench speed speed-peers train-cross-encoder clean

setup: $(VENV)/.dev

serve: $(VENV)/.serve
	$(BIN)/reranker serve $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

# The clients of the other APIs, in environments of their own, against a running server.
test-clients: $(VENV)/.dev $(CLIENTS)/.done $(OLDER)/.done
	ALL_CLIENTS=1 $(CLIENTS)/bin/python -m pytest tests/clients -o filterwarnings=ignore $(ARGS)
	$(OLDER)/bin/python -m pytest tests/clients/test_older.py -o filterwarnings=ignore $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Rewrites what the documents show: responses of a server, generated tables, included files.
docs: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m support.pages

# Ten minutes of mixed load with faults against a server of its own, on the loopback.
soak: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m soak --seconds 600 --output server/results/soak.json $(ARGS)

# All methods on the sample collection, offline, with a report to open in a browser.
bench: $(VENV)/.dev
	$(BIN)/reranker compare --output runs/sample --overwrite --pool-size 30 --latency-queries 5 $(ARGS)

# How fast, beside the other libraries that are installed, on the same models.
speed: $(VENV)/.dev
	$(BIN)/python -m lab.speed --data $(DATA) --output runs/speed $(ARGS)

# The libraries whose pins clash with ours, in environments of their own.
speed-peers: $(PEERS:%=%/.done)

# Trains the embedded cross-encoder again; DATA is a folder of training collections.
train-cross-encoder: $(VENV)/.dev
	$(BIN)/python -m lab.training.cross_encoder --data $(DATA) --output runs/cross-encoder $(ARGS)

clean:
	rm -rf $(VENV) $(CLIENTS) $(OLDER) $(PEERS) runs dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[embedded]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/.serve

$(CLIENTS)/.done: tests/clients/requirements.txt
$(OLDER)/.done: tests/clients/requirements-older.txt
$(CLIENTS)/.done $(OLDER)/.done:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-deps --requirement $<
	touch $@

.venv-peers-%/.done: bench/lab/peers/requirements/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --requirement $<
	touch $@

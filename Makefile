# Nothing but Python >= 3.11 and make is assumed: the first target that needs it makes .venv and installs the tested set.
PYTHON ?= python3
BIN := .venv/bin
OLDEST := 5.0.0
READY := .venv/.ready
# glibc gives large tensors back to the system after every step, and a third of a training step goes into page faults.
KEEP_MEMORY := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=268435456

# The processors of some model families need torchvision; it stays apart, because without CUDA it cannot be imported as it is.
TORCHVISION := .venv/torchvision

.PHONY: help demo notary compare-quick test test-notary test-oldest lint check clerk notary-train evidence methods
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# torch goes first and alone, so that a local CPU build satisfies every later requirement on it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "neuralgate needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(TORCHVISION) -c constraints.txt torchvision
	@touch $@

demo: $(READY)  ## edit the embedded model, measure what changed, write the report
	$(KEEP_MEMORY) $(BIN)/neuralgate run clerk --recipe recipes/demo.yaml --out runs/demo
	@echo "Open runs/demo/report.html in a browser."

notary: $(READY)  ## the same with a pretrained mind, which is fetched once
	$(KEEP_MEMORY) $(BIN)/neuralgate run notary --recipe recipes/notary.yaml --out runs/notary
	@echo "Open runs/notary/report.html in a browser."

# Five methods with two settings each and one seed: what a comparison looks like, not what it finds.
compare-quick: $(READY)  ## compare a few methods on the embedded model, small
	$(KEEP_MEMORY) $(BIN)/neuralgate compare clerk --out runs/compare-quick \
		--methods neural_gate,ungated,steering,keyword_guardrail,image_redaction \
		--set budget=2 --set seeds=1 --set controls=1 --set looks=1 --set sequence=false --set per_subject=16 --set contrast_per_subject=8 \
		--set validation_scenes=20 --set test_pictures=1 --set test_scenes=20

test: $(READY)  ## run all tests, the families' too where the others fail
	@failed=0; \
	$(BIN)/python -m pytest -n logical --dist loadfile || failed=1; \
	PYTHONPATH=$(TORCHVISION) $(BIN)/python -m pytest -n logical tests/families || failed=1; \
	exit $$failed

test-notary: $(READY)  ## the tests of Notary's real base, where the cache has it
	$(BIN)/python -m pytest tests/notary

test-oldest: $(READY)  ## the tests of all model families with the oldest supported transformers
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet -c constraints.txt torch
	.venv-oldest/bin/python -m pip install --quiet -e '.[dev]' transformers==$(OLDEST)
	PYTHONPATH=$(TORCHVISION) .venv-oldest/bin/python -m pytest -n logical tests/families

lint: $(READY)  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

check: lint test  ## everything a change must pass

clerk: $(READY)  ## retrain the embedded model from its seed
	$(KEEP_MEMORY) $(BIN)/python -m neuralgate.clerk.train --out src/neuralgate/clerk/weights
	$(BIN)/python -m experiments.clerk_card
	$(BIN)/python -m experiments.causality

notary-train: $(READY)  ## retrain what is ours of Notary from its seed (resumable)
	$(KEEP_MEMORY) $(BIN)/python -m neuralgate.notary.train --work runs/notary-train --out src/neuralgate/notary/weights
	$(BIN)/python -m experiments.notary_card

evidence: $(READY)  ## the gate question on both models (docs/plan.md; hours, resumable)
	$(KEEP_MEMORY) $(BIN)/python -m experiments.gate_question --model clerk
	$(KEEP_MEMORY) $(BIN)/python -m experiments.gate_question --model notary
	$(KEEP_MEMORY) $(BIN)/python -m experiments.precision
	$(BIN)/python -m experiments.tables

methods: $(READY)  ## compare all methods on the embedded model (docs/methods-plan.md; hours, resumable)
	$(KEEP_MEMORY) $(BIN)/neuralgate compare clerk --methods all --out benchmarks/methods/clerk
	$(BIN)/python -m experiments.methods

# Two commands: `make demo` grounds two example studies, `make test` runs every check. Both make their own environment.
#
#   make demo PYTHON=python3.12                                    another interpreter (3.11 or later)
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu     the small CPU build of torch where PyPI offers CUDA

PYTHON ?= python3
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.DEFAULT_GOAL := help
.PHONY: help demo test format figures clean

help:
	@echo "make demo     install into $(VENV) and ground two example studies; results under out/demo"
	@echo "make test     install the tools too and run lint, types, import contracts and tests"
	@echo "make format   rewrite the code as the linter wants it"
	@echo "make figures  measure every figure of the README; results under results/ (slow)"
	@echo "make clean    remove $(VENV), caches and out/"

demo: $(VENV)/.installed-demo
	@OMP_NUM_THREADS=1 $(BIN)/python examples/demo.py --out out/demo

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Reports and real radiographs are measured where REAL_DATA, a folder of your own, holds them. The data set has the recipe's own splits, so
# that the test patients are none of those that the model has learnt from.
REAL_DATA ?= data/real
MODEL ?= knowmvg/models/demo

figures: $(VENV)/.installed-dev
	@mkdir -p results
	$(BIN)/python benchmarks/data.py recipes/demo.yaml
	$(BIN)/knowmvg evaluate $(MODEL) --data data/phantom --out results/evaluation
	$(BIN)/knowmvg evaluate $(MODEL) --data data/phantom --phrases both --out results/evaluation-both
	for kind in drawn attention; do \
		$(BIN)/knowmvg evaluate $(MODEL) --data data/phantom --split val --limit 100 --maps $$kind --out results/maps-$$kind || exit 1; done
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/inference.py --json results/inference.json
	$(BIN)/python benchmarks/ground.py --model $(MODEL) --json results/ground.json
	$(BIN)/python benchmarks/phantom.py --json results/phantom.json
	$(BIN)/python benchmarks/images.py --json results/images.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/metrics.py --json results/metrics.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/coverage.py --json results/coverage.json
	if [ -f $(REAL_DATA)/openi_reports/reports.jsonl ]; then \
		$(BIN)/python benchmarks/reports.py --data $(REAL_DATA)/openi_reports/reports.jsonl --phenomena --json results/reports.json; fi
	if [ -d $(REAL_DATA)/nih_bbox ]; then \
		$(BIN)/python benchmarks/real.py --data $(REAL_DATA) --model $(MODEL) --json results/real.json; fi
	$(BIN)/python benchmarks/knowledge.py --json results/knowledge.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/umls.py --json results/umls.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/prepare.py --json results/prepare.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/readers.py --json results/readers.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/near_images.py --data data/phantom --json results/near_images.json
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/training.py --json results/training.json
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python benchmarks/coordinates.py --json results/coordinates.json
	$(BIN)/python benchmarks/readme_figures.py

# A stamp file is written last, so that an installation that broke off is taken up again and a finished one runs once.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "knowmvg needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
		echo "Name another one: make demo PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' has no venv module. On Debian and Ubuntu: apt install python3-venv"; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed-demo: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing knowmvg into $(VENV) (once, a few minutes) ..."
	$(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing knowmvg and its development tools into $(VENV) (once, a few minutes) ..."
	$(INSTALL) --editable '.[demo,dev]'
	@touch $@ $(VENV)/.installed-demo

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Thin wrappers: everything that they do can be typed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test fast lint types docs bench wheels clean

demo: $(READY)
	$(BIN)/ronchi demo -o demo-out

# As many processes as there are processors; what measures seconds comes after, by itself.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not alone" -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --durations 40
	$(BIN)/python -m pytest -m alone $$(grep -rl "mark\.alone" --include="test_*.py" tests core/tests plugins/*/tests)

fast: $(READY)
	$(BIN)/python -m pytest -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/generate.py

bench: $(READY)
	$(BIN)/python plugins/crosscorr/benchmarks/detection_speed.py
	$(BIN)/python plugins/lattice/benchmarks/fit_speed.py
	$(BIN)/python core/benchmarks/reduce_speed.py

wheels: $(READY)
	for dist in core plugins/*; do $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist ./$$dist || exit 1; done

clean:
	rm -rf $(VENV) dist demo-out

# What builds the packages comes first, and once: in isolation each of them would fetch it, twice, at no pin.
$(READY): requirements.txt constraints.txt core/pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt editables hatchling
	$(BIN)/python -m pip install --quiet --no-build-isolation -r requirements.txt
	touch $@

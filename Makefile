# One line per task. `digits` and `test` create .venv if needed; the other tasks use $(PYTHON), by default the
# interpreter of .venv with the tools that `.venv/bin/pip install -e '.[test,lint,docs]'` adds.
PYTHON ?= .venv/bin/python

.PHONY: help digits test lint types docs bench clean

help:    ; @grep -oE '^[a-z]+:' Makefile | tr -d ':' | xargs echo make:
digits:  ; python3 start.py digits
test:    ; python3 start.py test
lint:    ; $(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check .
types:   ; $(PYTHON) -m mypy
docs:    ; $(PYTHON) -m sphinx -n -W --keep-going -b html docs docs/_build/html
bench:   ; $(PYTHON) -m benchmarks
clean:   ; rm -rf build dist docs/_build docs/api docs/equations docs/gallery .pytest_cache .hypothesis .mypy_cache .ruff_cache

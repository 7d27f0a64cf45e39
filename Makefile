# `make` alone prints this list.
VENV := .venv
BIN  := $(VENV)/bin

help:  ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready  ## virtual environment with pgrunbook in it (every other target does this when needed)
$(VENV)/.ready: pyproject.toml tools/setup.sh
	tools/setup.sh $(VENV)

demo: setup  ## throw-away servers, the sick QuizMentor, the whole round, before/after on screen
	tools/packages.sh demo
	mkdir -p build
	$(BIN)/pgrunbook demo --report build/demo.html --result build/demo.json

test: setup  ## everything, on a fresh machine: sets up what is missing, then unit, arch, pg and journey tests
	tools/packages.sh test
	$(BIN)/python -m pytest -n 4 --dist worksteal $(PYTEST_ARGS) || \
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none  # what a busy machine upset is asked once more, alone

test-fast: setup  ## unit and architecture tests only (seconds)
	$(BIN)/python -m pytest tests/unit tests/arch

lint: setup  ## ruff check, ruff format --check
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup  ## mypy --strict
	$(BIN)/mypy

bench: setup  ## the benchmarks, a line a figure; writes build/bench.json
	$(BIN)/python bench/run.py

bench-twin: setup  ## the planner twin against HypoPG and against real indexes
	tools/packages.sh test
	$(BIN)/python bench/twin.py

bench-advisor: setup  ## the index advisor on TPC-H and TPC-DS against published figures (8 GB of disk, kept)
	tools/packages.sh test
	$(BIN)/python -m pip install -q -e '.[bench]'
	$(BIN)/python bench/advisor.py $(ADVISOR_ARGS)

exam: setup  ## planted faults and healthy decoys; ends with recall, false alarms, abstention
	$(BIN)/python -m tests.exam.run

exam-chaos: setup  ## kill the tool and the server at each point of each step, run again, compare (CHAOS_ARGS=--quick)
	$(BIN)/python -m tests.exam.chaos $(CHAOS_ARGS)

exam-races: setup  ## 10,000 races against the guard of cancel and end: who is hit that was not meant, and the window left
	PGRUNBOOK_RACES=10000 $(BIN)/python -m pytest -s -q -p no:randomly tests/pg/test_session_guard.py -k "nobody or window"

docs: setup  ## regenerate check pages and CLI reference
	$(BIN)/python tools/docs.py

new-check: setup  ## make new-check NAME=family/fault: the stubs of a check and its test
	$(BIN)/python tools/new_check.py $(NAME)

check: lint types test  ## what to run before handing in

clean:  ## remove what was built
	rm -rf build dist $(VENV)

.PHONY: help setup demo test test-fast lint types bench bench-twin bench-advisor exam exam-chaos exam-races docs new-check check clean
.DEFAULT_GOAL := help

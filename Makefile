# Everything starts here, from a fresh clone. Each target sets up what it needs first (README, "Install").
SHELL := /bin/bash
PYTHON ?= python3
export ROS_WHEELS

.PHONY: setup demo test bench lint clean

setup:  ## .venv and install/, or nothing when both are up to date; ROS_WHEELS=kilted for the second column
	@$(PYTHON) tools/setup_workspace.py

demo: setup  ## the bundled bag, or SOURCE=<ROS 2 bag, video file, camera device>, through both nodes, with a live view
	@. tools/env.sh && vljepa demo $(if $(SOURCE),--source "$(SOURCE)") $(ARGS)

test: setup  ## ARGS="test/model -x" for some of it
	@. tools/env.sh && python -m pytest $(ARGS)

bench: setup  ## what an embedding and a text cost, engines in pairs; ARGS="--rounds 100"
	@. tools/env.sh && python benchmarks/engines.py $(ARGS)

lint: setup
	@. tools/env.sh && ruff check .

clean:
	rm -rf .venv .venv-kilted build install install-kilted log

# Everything starts here, from a fresh clone. Each target sets up what it needs first (README, "Install").
SHELL := /bin/bash
PYTHON ?= python3
export ROS_WHEELS

.PHONY: setup demo test faults soak bench lint clean

setup:  ## .venv and install/, or nothing when both are up to date; ROS_WHEELS=kilted for the second column
	@$(PYTHON) tools/setup_workspace.py

demo: setup  ## the bundled bag, or SOURCE=<ROS 2 bag, video file, camera device>, through both nodes, with a live view
	@. tools/env.sh && vljepa demo $(if $(SOURCE),--source "$(SOURCE)") $(ARGS)

test: setup  ## ARGS="test/model -x" for some of it
	@. tools/env.sh && python -m pytest $(ARGS)

faults: setup  ## what test/faults does in short, at full length; figures in build/faults.json; CASES=100000 malformed inputs
	@. tools/env.sh && VLJEPA_FAULTS=full VLJEPA_MALFORMED=$(or $(CASES),100000) python -m pytest -m faults --timeout 0 -s $(ARGS)

soak: setup  ## the nodes on the demo bag, again and again, for HOURS (0.05 will do); report in build/soak.json
	@. tools/env.sh && python benchmarks/soak.py --hours $(or $(HOURS),1) $(ARGS)

bench: setup  ## what an embedding and a text cost, engines in pairs; ARGS="--rounds 100"
	@. tools/env.sh && python benchmarks/engines.py $(ARGS)

lint: setup
	@. tools/env.sh && ruff check .

clean:
	rm -rf .venv .venv-kilted build install install-kilted log

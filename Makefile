# The verbs of this project. `make demo` and `make test` need nothing but Python 3.11 or newer with pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PAGES := README.md CONTRIBUTING.md SECURITY.md $(wildcard docs/*.md)
export ORT_DISABLE_TELEMETRY := 1

.PHONY: demo test check web web-install web-build wheel-test floor-test bench fuzz faults artifacts docs clean

demo: $(VENV)/ready ## train on digits, export, run without torch, show pictures in demo/
	$(BIN)/aaptvae demo -o demo --force

test: check $(VENV)/ready ## everything: checks, tests, the wheel without torch, the oldest onnxruntime
	$(MAKE) wheel-test floor-test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

check: $(VENV)/ready ## lint, types, sizes, generated documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	$(BIN)/mypy
	$(BIN)/python tests/sizes.py
	$(BIN)/python -m cogapp --check -I docs $(PAGES)

web: web-install web-build ## the runtime in JavaScript and the explorer's page: types, build, tests; needs Node 20 and npm
	cd runtime/web && npm test

web-install:
	cd runtime/web && npm ci --ignore-scripts --no-audit --no-fund

web-build:
	cd runtime/web && npm run -s check && npm run -s build && npm run -s page

wheel-test: $(VENV)/ready ## the built wheel in an environment without torch, onnx and matplotlib
	rm -rf .wheel .venv-wheel && $(BIN)/python -m build -q --wheel -o .wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install -q -c constraints.txt .wheel/*.whl pytest hypothesis
	! .venv-wheel/bin/python -m pip list | grep -iE '^(torch|onnx|onnxscript|matplotlib) '
	cd tests && ../.venv-wheel/bin/python -m pytest -q -c ../pyproject.toml --rootdir .. runtime docs

floor-test: wheel-test ## the committed bundles on the oldest supported onnxruntime and numpy
	rm -rf .venv-floor && $(PYTHON) -m venv .venv-floor
	.venv-floor/bin/python -m pip install -q -r tests/floors.txt .wheel/*.whl
	.venv-floor/bin/aaptvae verify artifacts/digits
	.venv-floor/bin/aaptvae verify tests/runtime/tiny

bench: $(VENV)/ready ## the figures of docs/figures.md, on this machine
	$(BIN)/python -m pip install -q -c constraints.txt openvino scikit-learn
	$(BIN)/python tests/benchmarks/run.py

fuzz: $(VENV)/ready ## a million mutated inputs to the parsers; FUZZ=N for another count
	$(BIN)/python tests/trust/fuzz.py $(or $(FUZZ),1000000)

faults: $(VENV)/ready ## kills and full disks over every verb that writes
	$(BIN)/python tests/trust/faults.py 220 60

artifacts: $(VENV)/ready ## remake artifacts/digits
	$(BIN)/aaptvae demo -o demo --force
	$(BIN)/aaptvae export demo/run -o artifacts/digits --name digits --force

docs: $(VENV)/ready ## write the generated parts of the documentation
	$(BIN)/python -m cogapp -r -I docs $(PAGES)

clean:
	rm -rf .venv .venv-wheel .venv-floor .wheel demo build dist

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[train,parquet,dev]"
	# Only its protobuf schema is used, and its own requirements would hold back those of onnx.
	$(BIN)/python -m pip install -q --no-deps tritonclient==2.73.0
	touch $@

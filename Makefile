# The commands of README.md. The work itself is in setup.sh, CMake and the programs.
.PHONY: run build test fuzz bench gpu-check package format check-format setup setup-dev clean

# The main job: five learners, four waiting times, a stream of mega-batches of Fashion-MNIST; then a page with the answer.
run: build
	build/alma sweep alma/configs/sweeps/fashion.toml
	build/alma report runs/fashion -o runs/fashion.html

# Builds what this machine can run: the program, its CPU level, and `cuda` for its GPU. `make test` builds the rest into the
# same folder.
build: setup
	@echo "Configuring build/"
	@cmake --preset release
	@echo "Building the program and the backends that this machine can run (the first time: less than two minutes on two cores)"
	cmake --build build --target alma

# All tests: sources, then the sanitizer build, then the release build on every device that can run here and a short fuzz.
test: setup-dev check-format
	tests/check-includes
	cmake --preset asan
	cmake --build build-asan
	tests/run-ctest build-asan
	cmake --preset release
	cmake --build build
	tests/run-ctest build

# libFuzzer on every parser of files, or on those of FUZZ_TARGETS: FUZZ_SECONDS each, or FUZZ_RUNS executions. What is found
# stays in tests/fuzz/findings and is a test from then on.
FUZZ_SECONDS = 60
fuzz: setup-dev build
	FUZZ_RUNS=$(FUZZ_RUNS) tests/run-fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

bench: build
	cmake --build build --target alma-bench
	build/alma-bench

# For a machine with a GPU: tests and times on it, and one report to send back.
gpu-check: setup
	bench/gpu-check

# An archive and Debian packages of the program, its devices and what to build on, for every GPU from sm_80 on.
package: setup
	cmake --preset release -B build-package -DALMA_TESTS=OFF -DALMA_CUDA_ARCHITECTURES=all
	cmake --build build-package --target alma alma_backends
	cd build-package && cpack

SOURCES = $(shell git ls-files -co --exclude-standard '*.h' '*.cpp' '*.cu')
check-format:
	@clang-format-14 --dry-run -Werror $(SOURCES) && echo "formatting: clean"
format:
	clang-format-14 -i $(SOURCES)

setup:
	@./setup.sh
setup-dev:
	@./setup.sh --dev

clean:
	rm -rf build build-asan build-fuzz build-package

# The two that do everything: `make demo` and `make test`. All are thin over
# the CMake presets in CMakePresets.json.
#
#   make deps    install what is needed (Debian 12; needs root or sudo)
#   make build   programs in build/$(PRESET)/bin
#   make test    build, then every test
#   make demo    a daemon, rendered images, their clusters;
#                DATA=dir takes your own folder (a folder per kind),
#                MODELS=dir adds CNN views
#   make lint    format, layering and clang-tidy
#   make bench   benchmarks, smoke-run
#   make asan / tsan / fuzz   the tests under sanitizers, the fuzz targets

PRESET ?= release
JOBS ?= $(shell nproc)
DATA ?=
MODELS ?=
FUZZ_SECONDS ?= 60

.PHONY: deps configure build test demo format lint bench asan tsan fuzz clean

deps:
	@scripts/deps

configure: deps
	@cmake --preset $(PRESET) >build-configure.log 2>&1 || \
	  { cat build-configure.log; exit 1; }
	@rm -f build-configure.log

build: configure
	cmake --build --preset $(PRESET) -j $(JOBS)

test: build
	ctest --preset $(PRESET)

demo: build
	scripts/demo build/$(PRESET)/bin "$(DATA)" "$(MODELS)"

format:
	clang-format -i $$(git ls-files '*.h' '*.cc')

lint: deps
	scripts/check-format
	scripts/check-layering
	cmake --preset tidy
	cmake --build --preset tidy -j $(JOBS)

bench: deps
	cmake --preset bench
	cmake --build --preset bench -j $(JOBS)
	ctest --test-dir build/bench -L bench --output-on-failure

asan tsan: deps
	cmake --preset $@
	cmake --build --preset $@ -j $(JOBS)
	ctest --preset $@

fuzz: deps
	cmake --preset fuzz
	cmake --build --preset fuzz -j $(JOBS) --target shoal_fuzzers
	scripts/fuzz build/fuzz/bin $(FUZZ_SECONDS)

clean:
	rm -rf build

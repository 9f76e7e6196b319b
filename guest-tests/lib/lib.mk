# SPDX-License-Identifier: GPL-2.0-only
#
# Rules shared by every guest-tests/AREA/Makefile, in the manner of the kernel's
# tools/testing/selftests/lib.mk.  An area sets some of these and includes us:
#
#   TEST_GEN_PROGS   tests, each built from NAME.c
#   TEST_PROGS       tests that are scripts (.sh, .py): copied
#   TEST_PYTEST      files of pytest tests (test_*.py): copied, and lib/*.py with them
#   TEST_GEN_FILES   programs the tests need, built from NAME.c, not run themselves
#   TEST_FILES       data the tests need: copied
#   TEST_GEN_MODS_DIR  directory of kernel modules (its Makefile has obj-m), which
#                    harness builds for each kernel, not we
#   CFLAGS, LDLIBS   additions
#
#   make -C guest-tests/AREA OUTPUT=/abs/dir all    build into /abs/dir
#   make -s -C guest-tests/AREA print-tests         test names, one a line
#   make -s -C guest-tests/AREA print-pytest        files of pytest tests
#   make -s -C guest-tests/AREA print-modules       directory of kernel modules
#
# Nothing is ever written into the source directory.

ifdef obj-m
$(error obj-m goes into the Makefile of TEST_GEN_MODS_DIR)
endif

CC ?= cc

lib_dir := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
lib_headers := $(wildcard $(lib_dir)/*.h)

# Static: the guest's libc may be older than the one we build with, or absent.
build_flags := -std=gnu11 -O2 -g -Wall -Wextra -static -pthread \
	       -D_GNU_SOURCE -I$(lib_dir)

built := $(addprefix $(OUTPUT)/,$(TEST_GEN_PROGS) $(TEST_GEN_FILES))
pytest_files := $(sort $(foreach file,$(TEST_PYTEST),$(or $(wildcard $(file)),$(file))))
copied := $(addprefix $(OUTPUT)/,$(TEST_PROGS) $(TEST_FILES) $(pytest_files))
lib_python := $(if $(pytest_files),$(notdir $(wildcard $(lib_dir)/*.py)))
lib_copied := $(addprefix $(OUTPUT)/,$(lib_python))

.PHONY: all clean print-tests print-pytest print-modules check-output
.DEFAULT_GOAL := all

all: check-output $(built) $(copied) $(lib_copied)

check-output:
	$(if $(filter /%,$(OUTPUT)),@:,$(error OUTPUT=/absolute/directory is needed))

$(built): $(OUTPUT)/%: %.c $(lib_headers) $(lib_dir)/lib.mk Makefile
	@mkdir -p $(@D)
	$(CC) $(build_flags) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(LDLIBS)

$(copied): $(OUTPUT)/%: %
	@mkdir -p $(@D)
	cp -p $< $@

$(lib_copied): $(OUTPUT)/%: $(lib_dir)/%
	@mkdir -p $(@D)
	cp -p $< $@

clean: check-output
	rm -f $(built) $(copied) $(lib_copied)

print-tests:
	@printf '%s\n' $(TEST_GEN_PROGS) $(TEST_PROGS)

print-pytest:
	@printf '%s\n' $(pytest_files)

print-modules:
	@printf '%s\n' $(TEST_GEN_MODS_DIR)

# The PGXS part; run from the top folder: make -f pgxs.mk

PREPAY_VERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" extension/pg_prepay.control)

EXTENSION = extension/pg_prepay
MODULE_big = pg_prepay
OBJS = $(patsubst %.c, %.o, $(sort $(wildcard extension/*.c)))
DATA_built = sql/pg_prepay--$(PREPAY_VERSION).sql
EXTRA_CLEAN = sql/pg_prepay--$(PREPAY_VERSION).sql extension/storage_sql.h

PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare
PG_CPPFLAGS = -Iextension
# Only entry points are exported: no other library in the backend can catch our names.
SHLIB_LINK += -lcrypto -Wl,--version-script=extension/exports.map

REGRESS = $(sort $(basename $(notdir $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test
ISOLATION = $(sort $(basename $(notdir $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test

# No bitcode: nothing here is worth inlining into a query, and it doubles the build.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(PGXS),)
include $(PGXS)
endif

all: sql/pg_prepay--$(PREPAY_VERSION).sql

sql/pg_prepay--$(PREPAY_VERSION).sql: $(sort $(wildcard sql/extension/*.sql))
	{ printf '%s\n' '\echo Use "CREATE EXTENSION pg_prepay" to load this file. \quit' \
		'SET LOCAL search_path TO pg_catalog, pg_temp;'; cat $^; } > $@

PROFILES = $(sort $(wildcard agent/profiles/*.json))
extension/storage_sql.h: extension/embed.pl $(wildcard sql/storage/*.sql sql/replay/*.sql sql/grant/*.sql sql/comment/*.txt) $(PROFILES)
	perl extension/embed.pl storage=sql/storage/*.sql replay=sql/replay/*.sql grant=sql/grant/*.sql comment=sql/comment/*.txt \
		profile=agent/profiles/*.json > $@
extension/install.o: extension/storage_sql.h
$(OBJS): $(wildcard extension/*.h)

# prepay.xlsx() has a library of its own.
.PHONY: xlsx-all xlsx-install xlsx-uninstall xlsx-clean
all: xlsx-all
install: xlsx-install
uninstall: xlsx-uninstall
clean: xlsx-clean
xlsx-all xlsx-install xlsx-uninstall xlsx-clean: xlsx-%:
	$(MAKE) -C extension/xlsx $*

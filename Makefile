# pg_prepay: the extension is built by PGXS (pgxs.mk); agent/ and test/sim have Makefiles of their own.
#
#   make demo        show it at work on a throw-away cluster     make demo-stop
#   make check       all tests                                   make bench
#   make && make install && make installcheck                    the PGXS way

PGXS_TARGETS = all install uninstall installcheck clean

.PHONY: $(PGXS_TARGETS) demo demo-stop check bench agent sim

$(PGXS_TARGETS):
	@$(MAKE) --no-print-directory -f pgxs.mk $@

# ---- everything else: two commands do all set-up ----

agent:
	$(MAKE) -C agent

sim:
	$(MAKE) -C test/sim

demo:
	@sh test/demo/demo.sh

demo-stop:
	@sh test/demo/demo.sh stop

check:
	@sh test/check.sh

bench:
	@sh test/bench/bench.sh

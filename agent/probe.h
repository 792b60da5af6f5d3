/*
 * probe.h
 *		prepayd --probe: one meter read by hand, to see whether wiring and profile are right.
 */
#ifndef PREPAYD_PROBE_H
#define PREPAYD_PROBE_H

/*
 * Reads every block of a profile (a file, or the code of a shipped one) from `unit` at `host`
 * (host:port, or the path of a serial device) through libmodbus, and prints each point. Blocks.
 * Returns the exit status: 0 all answered, 1 not, 2 wrong arguments.
 */
int probe(const char *host, const char *unit, const char *profile);

#endif

/*
 * reason.h: the reasons of a supply decision in words.
 */
#ifndef PREPAY_REASON_H
#define PREPAY_REASON_H

#include "relay.h"
#include "site.h"
#include "supply.h"

/* The first reason of the rule that decided. */
extern const SupplyReason *reason_decisive(const SupplyDecision *decision);
/* "off: balance -0.50 CNY is at or below 0.00 CNY" */
extern char *reason_text(const Site *site, const RelayMeter *meter, const SupplyFacts *facts,
						 const SupplyReason *reason);
/* All reasons, one a line; for error details. */
extern char *reason_all(const Site *site, const RelayMeter *meter, const SupplyFacts *facts,
						const SupplyDecision *decision);

#endif

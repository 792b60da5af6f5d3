/*
 * share.h: public-area energy, shared among the accounts of a place.
 */
#ifndef PREPAY_SHARE_H
#define PREPAY_SHARE_H

#include "postgres.h"

#include "site.h"

/* What is broken between lines of shares and their ledger entries; NULL ends the list. */
extern char **share_faults(const Site *site);

#endif

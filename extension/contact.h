/*
 * contact.h: whether agents, gateways and meters are heard of.
 */
#ifndef PREPAY_CONTACT_H
#define PREPAY_CONTACT_H

#include "site.h"

/*
 * Find what has fallen silent and what is heard of again. Returns the number of
 * changes. Skips what others hold; in a transaction it comes after all work on
 * accounts and before command_tick().
 */
extern int contact_tick(const Site *site);

#endif

/*
 * anchor.h: heads of all accounts of a site, written down once a day.
 */
#ifndef PREPAY_ANCHOR_H
#define PREPAY_ANCHOR_H

#include "site.h"

/* Write the day's anchor when it is due; also to the server log. */
extern void anchor_tick(const Site *site);
/* Told what is wrong with a site's anchors, one text a fault. */
typedef void (*AnchorFault)(void *context, const char *fault);
extern void anchor_look(const Site *site, AnchorFault told, void *context);

#endif

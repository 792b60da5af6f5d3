/*
 * retention.h: what remains when old readings are dropped.
 */
#ifndef PREPAY_RETENTION_H
#define PREPAY_RETENTION_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "site.h"

/* Why a reading is held whose energy lies in a time of which the readings are gone. */
#define RETENTION_REASON "dropped_time"

/* Raise PP043 when what is asked for begins before the first day that can be rated anew. */
extern void retention_require(const Site *site, TimestampTz from, const char *what);
/* A reading that was refused for RETENTION_REASON: raise that, in words. */
extern void retention_refuse(const Site *site, const char *reason);
/* Say to whom asks for readings of that time that they are gone. */
extern void retention_tell(const Site *site, TimestampTz from);

#endif

/*
 * target.h: the meters a target stands for.
 */
#ifndef PREPAY_TARGET_H
#define PREPAY_TARGET_H

#include "code.h"
#include "site.h"

#define TARGET_KINDS (KIND_SITE | KIND_ACCOUNT | KIND_METER | KIND_GATEWAY | KIND_PLACE)

/* Ids ascending: the meter, an account's meters, all below a place, behind a gateway, of a site. */
extern int target_meters(const Site *site, const CodeTarget *target, int32 **meter_id);

#endif

/*
 * planner.h
 *		Merging of a profile's blocks into few requests.
 */
#ifndef PREPAYD_PLANNER_H
#define PREPAYD_PLANNER_H

#include "buf.h"
#include "profile.h"

/* Fills profile->plain and profile->merged from the polled blocks. */
void planner_merge(Profile *profile);

/* "fc=3 addr=0x0000 n=17" lines, each after `indent`. */
void planner_describe(const Profile *profile, const RequestList *list, const char *indent,
					  Buf *out);

#endif

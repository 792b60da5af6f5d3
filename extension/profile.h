/*
 * profile.h: the form of a meter profile (agent/profiles/README.md).
 *
 * The database checks what a person who writes a profile gets wrong: keys, kinds,
 * ranges, references. The agent checks the same and replays the vectors.
 */
#ifndef PREPAY_PROFILE_H
#define PREPAY_PROFILE_H

#include "doc.h"

/* False: *fault says where and what. */
extern bool profile_check(const Doc *profile, DocFault *fault);

#endif

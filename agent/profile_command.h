/*
 * profile_command.h
 *		Parsing of a profile's commands; used by profile.c only.
 */
#ifndef PREPAYD_PROFILE_COMMAND_H
#define PREPAYD_PROFILE_COMMAND_H

#include "profile.h"

/* Fills profile->command[] from the "commands" object; blocks and points are parsed already. */
void profile_parse_commands(Profile *profile, const json_t *commands, JsonFault *fault);

#endif

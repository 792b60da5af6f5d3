/*
 * command_inner.h
 *		A command in progress; private to command*.c.
 */
#ifndef PREPAYD_COMMAND_INNER_H
#define PREPAYD_COMMAND_INNER_H

#include "command.h"

struct Command
{
	Agent *agent;
	CommandOrder order;
	Meter *meter;
	Profile *profile;
	const ProfileCommand *spec; /* NULL for "read" */
	ProfileValue arg[PROFILE_MAX_ARGS];
	uint8_t rows[PROFILE_ROWS_BYTES];
	int step;
	int check;
	int rounds; /* read-backs that disagreed since the last write */
	int link_tries;
	int busy_tries;
	int writes; /* rounds of write steps begun */
	bool sent;	/* a write may have reached the meter */
	bool noted; /* the spool says that the outcome is open */
	Reading observed;
	int64_t observed_at; /* business time, 0: nothing was read */
	int exception;
	char error[160];
	int64_t taken_at; /* monotonic */
	Job job;
	struct event *timer;
	void (*resume)(Command *command);
	Command *next; /* of the same meter */
};

/* Ends the command with its outcome and begins the meter's next. */
void command_end(Command *command, const char *outcome);

/* The same with a reason. */
void command_fail(Command *command, const char *outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Guard, write and read-back, each of which leads on to the next or to the end. */
void command_guard(Command *command);
void command_write(Command *command);
void command_check(Command *command);

#endif

/*
 * contact.h
 *		Contact state of gateways and meters: unknown, ok or lost.
 */
#ifndef PREPAYD_CONTACT_H
#define PREPAYD_CONTACT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Agent Agent;
typedef struct Gateway Gateway;
typedef struct Meter Meter;

typedef enum ContactState
{
	CONTACT_UNKNOWN,
	CONTACT_OK,
	CONTACT_LOST
} ContactState;

typedef struct Contact
{
	ContactState state;
	int64_t since;		   /* business time */
	int failures;		   /* in a row */
	int64_t first_failure; /* business time */
	bool unreported;
} Contact;

void contact_meter_ok(Meter *meter);

/* The meter did not answer, or its gateway says that it does not. */
void contact_meter_silent(Meter *meter);

void contact_gateway_ok(Gateway *gateway);

/* No connection, or a unit was silent; a frame of any unit ends the row of failures. */
void contact_gateway_silent(Gateway *gateway);

/* Whether this grid point is one for the meter: true, unless it is lost and its back-off lasts. */
bool contact_meter_due(Meter *meter);

#endif

/*
 * delivery.h: how messages leave the outbox, by whatever carrier.
 *
 * queued → taken → sent → delivered. What a carrier gives back goes to the queue again,
 * later each time, and fails after the last try. A message whose alarm is over before
 * it was taken is cancelled: nobody is asked to top up after having paid.
 */
#ifndef PREPAY_DELIVERY_H
#define PREPAY_DELIVERY_H

#include "site.h"

#define DELIVERY_LEASE_US (INT64CONST(5) * 60 * USECS_PER_SEC) /* real time */

typedef enum DeliveryOutcome
{
	DELIVERY_SENT,
	DELIVERY_DELIVERED,
	DELIVERY_AGAIN, /* not sent: try again */
	DELIVERY_FAILED /* no use trying again */
} DeliveryOutcome;

typedef struct Delivery
{
	int64 notification_id;
	int tries; /* with this one */
	char *phone;
	char *body;
	char *template;
	char *language;
	char *params;  /* JSON */
	char *account; /* code; NULL: none */
} Delivery;

/* Takes up to max messages of a channel that are due; skips what others hold. */
extern int delivery_take(const Site *site, const char *channel, int max, Delivery **delivery);
/*
 * What became of a message that is taken or sent; false: it is neither, or was taken again
 * since this try. expect: its carrier may still have more to say.
 */
extern bool delivery_settle(const Site *site, const char *channel, int64 notification_id, int tries,
							DeliveryOutcome outcome, bool expect);

#endif

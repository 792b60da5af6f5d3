/*
 * notice.h: messages to people, written to the outbox in the transaction of their cause.
 */
#ifndef PREPAY_NOTICE_H
#define PREPAY_NOTICE_H

#include "site.h"

typedef struct Notice
{
	const char *template; /* name of the text: alarm1, alarm2, arrears */
	int32 account_id;
	int64 alarm_id;
	const char *account;  /* code */
	const char *phone;	  /* customer's; NULL: none */
	const char *language; /* zh or en; NULL: the site's */
	int64 balance;		  /* minor units */
	int64 threshold;	  /* minor units */
} Notice;

/* One message to the customer and one to each of the site's alarm_phones. */
extern void notice_send(const Site *site, const Notice *notice);

#endif

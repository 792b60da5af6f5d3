/*
 * notice.h: messages to people, written to the outbox in the transaction of their cause.
 */
#ifndef PREPAY_NOTICE_H
#define PREPAY_NOTICE_H

#include "message.h"
#include "site.h"

/* A crossing of a balance. */
typedef struct Notice
{
	const char *template; /* name of the text: alarm1, alarm2, arrears */
	int32 account_id;
	int64 alarm_id;
	const char *account;  /* code */
	const char *phone;	  /* customer's, perhaps several; NULL: none */
	const char *language; /* zh or en; NULL: the site's */
	int64 balance;		  /* minor units */
	int64 threshold;	  /* minor units */
} Notice;

/*
 * One message to each of the customer's phones and one to each of the site's alarm_phones.
 * The customer's alarm1 and alarm2 wait for the end of quiet_hours; arrears does not,
 * because the supply may be cut meanwhile, nor do copies to the staff.
 */
extern void notice_send(const Site *site, const Notice *notice);

/* What any message is written with. */
typedef struct NoticeDraft
{
	const char *template;
	const char *language; /* NULL: the site's */
	int32 account_id;	  /* 0: none */
	int64 alarm_id;		  /* 0: none */
	bool to_staff;
	bool may_wait; /* for the end of quiet_hours */
	MessageValues values;
} NoticeDraft;

/* One message to each phone of the list that is not in `except`; both may be NULL. */
extern void notice_write(const Site *site, const NoticeDraft *draft, const char *phones,
						 const char *except);
/* Fills in what a message about a balance has: site, account, balance, currency. */
extern void notice_balance(const Site *site, NoticeDraft *draft, const char *account,
						   int64 balance);

#endif

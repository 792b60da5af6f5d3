/*
 * message.h: texts of messages: rows of message_template, filled in.
 *
 * Rows of site 0 are shipped; a site's own row goes before the shipped one.
 */
#ifndef PREPAY_MESSAGE_H
#define PREPAY_MESSAGE_H

#include "site.h"
#include "template.h"

typedef enum MessageName
{
	MESSAGE_SITE,
	MESSAGE_SITE_NAME,
	MESSAGE_ACCOUNT,
	MESSAGE_BALANCE,
	MESSAGE_THRESHOLD,
	MESSAGE_CURRENCY,
	MESSAGE_OBJECT,
	MESSAGE_SUBJECT,
	MESSAGE_KIND,
	MESSAGE_PLACE,
	MESSAGE_TIME,
	MESSAGE_DETAIL,
	MESSAGE_MINUTES,
	MESSAGE_NAMES
} MessageName;

typedef struct MessageValues
{
	const char *text[MESSAGE_NAMES]; /* NULL: empty */
} MessageValues;

extern const TemplateName message_names[];

/*
 * The text. *language becomes the one it is in, when there is none in the wanted one.
 * A code that would make it longer than one SMS is left out rather than cut.
 */
extern char *message_compose(const Site *site, const char *template, const char **language,
							 const MessageValues *values);

#endif

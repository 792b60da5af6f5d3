/*
 * phone.h: phone numbers as people write them, several in one field.
 */
#ifndef PREPAY_PHONE_H
#define PREPAY_PHONE_H

#include "core.h"

#define PHONE_MAX_CHARS 20
#define PHONE_LIST_MAX 200

/* The next number of a list that , or ; part, without blanks around it; false: no more. */
extern bool phone_next(const char **list, char number[PHONE_MAX_CHARS + 1]);
/* The first entry that is no phone number, or NULL; every entry must be 3 to 20 of "+0-9 -". */
extern const char *phone_fault(const char *list);
/* As it is dialled: digits, with '+' in front of a country code. */
extern void phone_dialled(const char *number, char dialled[PHONE_MAX_CHARS + 1]);
/* The same line: a network may put the country code in front of a number that has none. */
extern bool phone_same(const char *a, const char *b);

#endif

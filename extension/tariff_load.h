/*
 * tariff_load.h: shared by the files that read a tariff definition; private to the tariff module.
 *
 * Every load_ function returns false after it has described the fault.
 */
#ifndef PREPAY_TARIFF_LOAD_H
#define PREPAY_TARIFF_LOAD_H

#include "tariff.h"

typedef struct TariffLoader
{
	const Doc *definition;
	Tariff *tariff;
	DocFault *fault;
} TariffLoader;

/* What a bare word of the definition stands for. */
typedef struct Choice
{
	const char *word;
	int value;
} Choice;

/* tariff_load.c */
extern bool load_fault(TariffLoader *loader, const char *path, const char *hint, const char *format,
					   ...) __attribute__((format(printf, 4, 5)));
extern bool load_name(TariffLoader *loader, const Doc *doc, const char *path, char *name);
/* A new name: also refuses one of the n that exist. */
extern bool load_new_name(TariffLoader *loader, const Doc *object, const char *path,
						  const TariffName *names, int n, char *name);
/* Number of 10^-decimals with |number| <= limit (in whole units). */
extern bool load_number(TariffLoader *loader, const Doc *doc, const char *path, int decimals,
						int64_t limit, int64_t *number);
/* Member that must be there. */
extern bool load_member(TariffLoader *loader, const Doc *object, const char *path, const char *key,
						const char *hint, const Doc **member);
/* An array of least..most items. */
extern bool load_array(TariffLoader *loader, const Doc *doc, const char *path, int least, int most);
extern bool load_month_day(TariffLoader *loader, const Doc *doc, const char *path, int *month,
						   int *mday);
extern int load_find(const TariffName *names, int n, const char *name); /* -1: none */
/* choice ends with a NULL word. */
extern bool load_choice(TariffLoader *loader, const Doc *doc, const char *path,
						const Choice *choice, const char *hint, int *value);
extern bool load_two_digits(const char *text, int *value);

/* tariff_schedule.c: seasons, day types, schedule; needs the periods. */
extern bool load_calendar_and_schedule(TariffLoader *loader);

/* tariff_price.c: needs periods and seasons. */
extern bool load_tiers_and_prices(TariffLoader *loader);

/* tariff_charge.c: standing charges, surcharges, cost of a Wh; needs the prices. */
extern bool load_charges(TariffLoader *loader);

#endif

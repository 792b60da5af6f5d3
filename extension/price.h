/*
 * price.h: what one kWh costs an account at this moment.
 */
#ifndef PREPAY_PRICE_H
#define PREPAY_PRICE_H

#include "state.h"

/*
 * Price of the next kWh as decimal text: period and tier of this moment, with the
 * surcharges that rest on energy. NULL: no tariff, or a price that is not positive.
 */
extern char *price_now(const Site *site, const Account *account);

#endif

/*
 * urdb.h: rates of OpenEI's Utility Rate Database (URDB) as tariff definitions.
 *
 * URDB prices energy by period and tier in $/kWh, with a table of 12 months × 24 hours
 * for weekdays and one for weekends that says which period holds; version 7 and 8 of
 * its API, https://openei.org/services/doc/rest/util_rates/.
 */
#ifndef PREPAY_URDB_H
#define PREPAY_URDB_H

#include "doc.h"

/*
 * One rate (an item of the API's answer) as a definition that tariff_load() accepts:
 * energy prices and a daily or monthly fixed charge. What is not carried, or carried
 * under a reading of URDB that somebody may not share, is said in its "notes". NULL
 * and *fault set when the energy part cannot be carried; core_alloc'ed.
 */
extern Doc *urdb_definition(const Doc *rate, DocFault *fault);

#endif

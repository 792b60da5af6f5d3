/*
 * place_report.h: the energy of a place and all below it.
 */
#ifndef PREPAY_PLACE_REPORT_H
#define PREPAY_PLACE_REPORT_H

#include "postgres.h"

#include "site.h"

/* "below" are the places of the tree under place $2 of site $1, itself included. */
#define PLACE_SUBTREE                                                                    \
	"WITH RECURSIVE below (place_id, depth) AS (SELECT $2::int, 0 UNION ALL"             \
	" SELECT p.place_id, b.depth + 1 FROM below b JOIN prepay.place p ON p.site_id = $1" \
	"  AND p.parent_id = b.place_id WHERE b.depth < 100)"

/* Energy in Wh of prepaid meters on the local days [first_day, end_day), owned or not. */
extern int64 place_energy(const Site *site, int32 place_id, int32 first_day, int32 end_day);

#endif

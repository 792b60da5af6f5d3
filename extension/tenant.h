/*
 * tenant.h: switching for a tenant.
 */
#ifndef PREPAY_TENANT_H
#define PREPAY_TENANT_H

#include "site.h"

/*
 * A tenant's order: side now desired, "on", "off" or NULL. The site's lock is shared. Raises
 * PP010 for an unknown meter, PP061 for one that cannot be switched so, PP060 where on is refused.
 */
extern const char *tenant_switch_meter(const Site *site, int32 meter_id, bool on);

#endif

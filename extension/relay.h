/*
 * relay.h: what is known and wanted of a meter's relay, and the commands between.
 */
#ifndef PREPAY_RELAY_H
#define PREPAY_RELAY_H

#include "site.h"
#include "supply.h"
#include "meter_watch.h"

typedef struct RelayMeter
{
	int32 meter_id;
	int32 account_id; /* at the business clock's now; 0: none */
	char *code;
	bool is_prepaid;   /* purpose */
	bool is_server;	   /* prepay_mode */
	bool is_reachable; /* has gateway and unit */
	bool can_trip;	   /* by its profile, or no profile is known */
	bool can_close;
	bool can_keep_on;
	bool can_prepaid;
	bool locked;
	char *locked_reason;
	SupplyOrder order;
	char *order_by;
	char *order_reason;
	SupplySide desired;
	char *desired_why;
	SupplySide commanded;
	TimestampTz commanded_at;
	SupplySide acknowledged;
	TimestampTz acknowledged_at;
	SupplySide observed;
	TimestampTz observed_at;
	int64 queued_id; /* 0: none; at most one relay command is queued */
	SupplySide queued;
	bool queued_automatic; /* by the supply rule */
	int64 flying_id;	   /* sent or unknown; 0: none; at most one */
	SupplySide flying;
	TimestampTz hold_until;		/* DT_NOBEGIN: nothing changes by time alone */
	bool tenant_off;			/* switched off by the tenant */
	char *schedule;				/* switching schedule that has it off; NULL: none */
	TimestampTz schedule_until; /* when schedules next change; DT_NOBEGIN: none is for it */
	MeterWatch watch;
} RelayMeter;

/* Who wants a relay command and why. */
typedef struct RelayCause
{
	const char *reason;
	const char *operator_name; /* NULL: the supply rule */
	bool insist;			   /* send even though the relay seems to be there already */
	TimestampTz not_before;	   /* real time; 0: at once */
} RelayCause;

/*
 * Lock, in the one order of lock.h, the accounts of meters and the meters without
 * account: needed before relay_lock() of more than one meter.
 */
extern void relay_lock_owners(const Site *site, const int32 *meter_id, int n);
/* The same for owners that nobody else holds; gives the meters of those, ascending. */
extern int relay_lock_free_owners(const Site *site, const int32 *meter_id, int n, int32 **locked);

/*
 * Lock the meter_control rows ascending, making those that are missing, and load
 * them. The array is in order of meter_id.
 */
extern int relay_lock(const Site *site, const int32 *meter_id, int n, RelayMeter **meter);
/* The same for the rows that nobody else holds; missing rows are passed over. */
extern int relay_lock_free(const Site *site, const int32 *meter_id, int n, RelayMeter **meter);
/* Make the meter_control rows that are missing; commands of every kind need one. */
extern void relay_make_rows(const Site *site, const int32 *meter_id, int n);
/* Load without a lock, for reports; the account is that of a moment. */
extern int relay_peek(const Site *site, const int32 *meter_id, int n, TimestampTz moment,
					  RelayMeter **meter);
/* Bring one locked meter up to date after its commands were changed. */
extern void relay_refresh(const Site *site, RelayMeter *meter);

/* The state the relay most likely has. */
extern SupplySide relay_effective(const RelayMeter *meter);

/* Set the desired state, SIDE_NONE: the meter decides by itself; rule names what decided. */
extern void relay_desire(const Site *site, RelayMeter *meter, SupplySide side, const char *rule);
/*
 * See to it that a command is under way if the relay is not where it is desired.
 * Returns the command that brings it there, new or live already; 0: none is needed
 * or possible.
 */
extern int64 relay_follow(const Site *site, RelayMeter *meter, const RelayCause *cause);
/* Take back the queued relay command. */
extern void relay_supersede(const Site *site, RelayMeter *meter);
/* Until when a trip queued now may be carried out. */
extern TimestampTz relay_trip_until(const Site *site);
/* Queue any relay action for a meter that holds its own money. */
extern int64 relay_send(const Site *site, RelayMeter *meter, const char *action,
						const RelayCause *cause);

/* The relay was seen at a time; false: something newer is known. Alarms follow. */
extern bool relay_seen(const Site *site, RelayMeter *meter, bool closed, TimestampTz at);
/*
 * The state that readings are compared with: one that still shows the old state after
 * a confirmed command is a change, and is judged. The meter's owner is locked.
 */
extern void relay_show(const Site *site, const RelayMeter *meter, bool closed);
extern void relay_commanded(const Site *site, RelayMeter *meter, SupplySide side);
extern void relay_acknowledged(const Site *site, RelayMeter *meter, SupplySide side);
/* When time alone changes its supply: tick() decides then. DT_NOBEGIN: never. */
extern void relay_hold_until(const Site *site, RelayMeter *meter, TimestampTz until);
/* When tick() decides the meter's supply again; real time. */
extern void relay_decide_at(const Site *site, int32 meter_id, TimestampTz at);

extern void relay_set_lock(const Site *site, RelayMeter *meter, bool locked, const char *reason);
extern void relay_set_tenant(const Site *site, RelayMeter *meter, bool off);
extern void relay_set_order(const Site *site, RelayMeter *meter, SupplyOrder order,
							const char *operator_name, const char *reason);

/* The side a relay action brings about; SIDE_NONE for prepaid and actions of other kinds. */
extern SupplySide relay_action_side(const char *action);

#endif

#include "overload.h"

int64_t
overload_limit(int64_t own_w, int64_t site_w, int64_t cap_w)
{
	int64_t limit = own_w > 0 ? own_w : site_w;

	return cap_w > 0 && (limit <= 0 || cap_w < limit) ? cap_w : limit;
}

int64_t
overload_load(int64_t displayed_w, int64_t ratio_e6, bool reverse_counts)
{
	__int128 load = (__int128) displayed_w * ratio_e6 / 1000000;

	if (load < 0)
		load = reverse_counts ? -load : 0;
	return load > INT64_MAX ? INT64_MAX : (int64_t) load;
}

bool
overload_is_low(int64_t load_w, int64_t limit_w)
{
	return (__int128) load_w * 100 <= (__int128) limit_w * OVERLOAD_CLEAR_PERCENT;
}

bool
overload_is_fresh(int64_t at, int64_t now, int64_t poll_us)
{
	return now - at < 2 * poll_us;
}

int
overload_trips(const OverloadState *state, int64_t now)
{
	return state->trips > 0 && now - state->trip_at < OVERLOAD_FORGET_US ? state->trips : 0;
}

void
overload_trip(OverloadState *state, const OverloadRule *rule, int64_t now)
{
	state->trips = overload_trips(state, now) + 1;
	state->trip_at = now;
	state->run.samples = 0;
	state->locked = state->trips > rule->restores;
	state->until = state->locked ? INT64_MIN : now + rule->restore_us;
}

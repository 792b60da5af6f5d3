/*
 * planner.c
 *		Merging of a profile's blocks into few requests.
 *
 * A request costs a turnaround of the meter (about 57 ms at 9600 baud), a register 2 ms: blocks of
 * one function are joined when the hole between them is at most limits.max_gap and the sum at most
 * limits.max_regs, and no register of limits.forbid lies between. Holes are read only where the
 * profile's author allows them, since some meters refuse a range with an unknown register.
 */
#include "planner.h"

#include <stdlib.h>

static int
compare_requests(const void *left, const void *right)
{
	const ProfileRequest *a = left;
	const ProfileRequest *b = right;

	if (a->function != b->function)
		return a->function - b->function;
	return (a->address > b->address) - (a->address < b->address);
}

static bool
holds_kwh(const Profile *profile, const ProfileBlock *block)
{
	const ProfilePoint *point = &profile->point[profile_point_index(profile, "kwh", 0)];

	return &profile->block[point->block] == block;
}

static bool
touches_forbidden(const Profile *profile, int begin, int end)
{
	for (int i = 0; i < profile->forbidden; i++)
	{
		if (profile->forbid[i].first < end && profile->forbid[i].last >= begin)
			return true;
	}
	return false;
}

static bool
try_join(ProfileRequest *into, const ProfileRequest *next, const Profile *profile)
{
	int begin = (int) into->address;
	int end = begin + into->count;
	int next_end = (int) next->address + next->count;
	int joined_end = next_end > end ? next_end : end;

	if (profile->protocol != FRAME_MODBUS || into->function != next->function ||
		(int) next->address - end > profile->max_gap ||
		joined_end - begin > profile->max_registers ||
		touches_forbidden(profile, begin, joined_end))
		return false;
	into->count = (uint16_t) (joined_end - begin);
	into->has_kwh |= next->has_kwh;
	return true;
}

void
planner_merge(Profile *profile)
{
	RequestList *plain = &profile->plain;
	RequestList *merged = &profile->merged;

	plain->count = merged->count = 0;
	for (int i = 0; i < profile->blocks; i++)
	{
		const ProfileBlock *block = &profile->block[i];

		if (block->polled)
			plain->request[plain->count++] =
				(ProfileRequest){ block->function, block->address, block->count,
								  holds_kwh(profile, block) };
	}
	qsort(plain->request, (size_t) plain->count, sizeof(plain->request[0]), compare_requests);
	for (int i = 0; i < plain->count; i++)
	{
		if (merged->count == 0 ||
			!try_join(&merged->request[merged->count - 1], &plain->request[i], profile))
			merged->request[merged->count++] = plain->request[i];
	}
}

void
planner_describe(const Profile *profile, const RequestList *list, const char *indent, Buf *out)
{
	for (int i = 0; i < list->count; i++)
	{
		const ProfileRequest *request = &list->request[i];

		if (profile->protocol == FRAME_DLT645)
			buf_printf(out, "%sdi=%08X n=%u%s\n", indent, request->address, request->count,
					   request->has_kwh ? " kwh" : "");
		else
			buf_printf(out, "%sfc=%u addr=0x%04X n=%u%s\n", indent, request->function,
					   request->address, request->count, request->has_kwh ? " kwh" : "");
	}
}

/*
 * test_overload.c: how long a thing must be seen, and what follows from load above a limit.
 */
#include "fixture.h"

#include "overload.h"

#define SECOND_US INT64_C(1000000)

static const PersistRule rule = { .samples = 3,
								  .lasting_us = 60 * SECOND_US,
								  .gap_us = 100 * SECOND_US,
								  .quiet_us = 300 * SECOND_US };

/* Sightings at these seconds, up to a negative one; whether they count in the end. */
static bool
seen(const PersistRule *by, const int *second, PersistRun *run)
{
	*run = (PersistRun){ 0 };
	for (; *second >= 0; second++)
		persist_see(run, by, *second * SECOND_US);
	return persist_counts(run, by);
}

static void
samples_and_time_both(void **state)
{
	PersistRun run;

	(void) state;
	assert_false(seen(&rule, (int[]){ -1 }, &run));
	assert_false(seen(&rule, (int[]){ 0, 60, -1 }, &run));
	assert_false(seen(&rule, (int[]){ 0, 30, 59, -1 }, &run));
	assert_true(seen(&rule, (int[]){ 0, 30, 60, -1 }, &run));
	assert_int_equal(3, run.samples);
	assert_true(seen(&rule, (int[]){ 0, 10, 20, 30, 60, -1 }, &run));
}

static void
a_gap_begins_anew(void **state)
{
	PersistRun run;
	PersistRule patient = rule;

	(void) state;
	assert_true(seen(&rule, (int[]){ 0, 50, 149, -1 }, &run));
	assert_false(seen(&rule, (int[]){ 0, 50, 150, -1 }, &run));
	assert_int_equal(1, run.samples);
	assert_true(run.since == 150 * SECOND_US);
	patient.gap_us = 0;
	assert_true(seen(&patient, (int[]){ 0, 50, 100000, -1 }, &run));
}

static void
the_past_is_passed_over(void **state)
{
	PersistRun run;

	(void) state;
	assert_false(seen(&rule, (int[]){ 60, 60, 60, 0, 30, -1 }, &run));
	assert_int_equal(1, run.samples);
	assert_true(run.since == 60 * SECOND_US && run.last == 60 * SECOND_US);
}

static void
quiet_is_counted_from_the_last_sighting(void **state)
{
	PersistRun run;

	(void) state;
	assert_true(seen(&rule, (int[]){ 0, 30, 60, -1 }, &run));
	assert_false(persist_is_over(&run, &rule, 359 * SECOND_US));
	assert_true(persist_is_over(&run, &rule, 360 * SECOND_US));
}

static void
no_overflow_of_samples(void **state)
{
	PersistRun run = { .samples = INT32_MAX, .since = 0, .last = 1 };
	PersistRule any = { .samples = 1 };

	(void) state;
	persist_see(&run, &any, 2);
	assert_int_equal(INT32_MAX, run.samples);
	assert_true(persist_counts(&run, &any));
}

static void
the_lowest_limit(void **state)
{
	(void) state;
	assert_int_equal(0, overload_limit(0, 0, 0));
	assert_int_equal(5, overload_limit(5, 9, 0));
	assert_int_equal(20, overload_limit(20, 9, 0));
	assert_int_equal(9, overload_limit(0, 9, 0));
	assert_int_equal(3, overload_limit(5, 9, 3));
	assert_int_equal(5, overload_limit(5, 9, 7));
	assert_int_equal(7, overload_limit(0, 0, 7));
}

static void
load_of_what_is_displayed(void **state)
{
	(void) state;
	assert_int_equal(2500, overload_load(2500, 1000000, true));
	assert_int_equal(100000, overload_load(2500, 40000000, true));
	assert_int_equal(2500, overload_load(-2500, 1000000, true));
	assert_int_equal(0, overload_load(-2500, 1000000, false));
	assert_true(overload_load(INT64_MAX, INT64_C(1000000) * 1000000, true) == INT64_MAX);
	assert_true(overload_load(INT64_MIN, 1000000, true) == INT64_MAX);
}

static void
low_is_ninety_percent(void **state)
{
	(void) state;
	assert_true(overload_is_low(9000, 10000));
	assert_false(overload_is_low(9001, 10000));
	assert_true(overload_is_low(INT64_MAX / 100 * 90, INT64_MAX));
}

static void
fresh_is_below_two_polls(void **state)
{
	(void) state;
	assert_true(overload_is_fresh(0, 119, 60));
	assert_false(overload_is_fresh(0, 120, 60));
	assert_true(overload_is_fresh(500, 119, 60));
}

static void
restores_are_used_up(void **state)
{
	OverloadRule by = { .restore_us = 10, .restores = 2 };
	OverloadState meter = { .run = { .samples = 2 }, .until = INT64_MIN };

	(void) state;
	overload_trip(&meter, &by, 100);
	assert_int_equal(0, meter.run.samples);
	assert_false(meter.locked);
	assert_int_equal(110, meter.until);
	overload_trip(&meter, &by, 200);
	assert_int_equal(210, meter.until);
	assert_int_equal(2, meter.trips);
	overload_trip(&meter, &by, 300);
	assert_true(meter.locked);
	assert_true(meter.until == INT64_MIN);
}

static void
a_day_without_a_trip_forgets(void **state)
{
	OverloadRule by = { .restore_us = 10, .restores = 1 };
	OverloadState meter = { .until = INT64_MIN };

	(void) state;
	overload_trip(&meter, &by, 100);
	assert_int_equal(1, overload_trips(&meter, 100 + OVERLOAD_FORGET_US - 1));
	assert_int_equal(0, overload_trips(&meter, 100 + OVERLOAD_FORGET_US));
	overload_trip(&meter, &by, 100 + OVERLOAD_FORGET_US);
	assert_false(meter.locked);
	overload_trip(&meter, &by, 100 + 2 * OVERLOAD_FORGET_US - 1);
	assert_true(meter.locked);
}

static void
no_restores_lock_at_once(void **state)
{
	OverloadRule by = { .restore_us = 10, .restores = 0 };
	OverloadState meter = { .until = INT64_MIN };

	(void) state;
	overload_trip(&meter, &by, 0);
	assert_true(meter.locked);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_and_time_both),
		cmocka_unit_test(a_gap_begins_anew),
		cmocka_unit_test(the_past_is_passed_over),
		cmocka_unit_test(quiet_is_counted_from_the_last_sighting),
		cmocka_unit_test(no_overflow_of_samples),
		cmocka_unit_test(the_lowest_limit),
		cmocka_unit_test(load_of_what_is_displayed),
		cmocka_unit_test(low_is_ninety_percent),
		cmocka_unit_test(fresh_is_below_two_polls),
		cmocka_unit_test(restores_are_used_up),
		cmocka_unit_test(a_day_without_a_trip_forgets),
		cmocka_unit_test(no_restores_lock_at_once),
	};

	return cmocka_run_group_tests_name("overload", tests, NULL, NULL);
}

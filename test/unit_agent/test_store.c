/* The spool's thread: order of jobs, what is in memory at once and what after a restart. */
#include "agent.h"
#include "clock.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static struct event_base *base;

static int
set_up(void **state)
{
	(void) state;
	strcpy(folder, "/tmp/prepayd-store-XXXXXX");
	base = event_base_new();
	event_base_priority_init(base, PRIORITIES);
	return mkdtemp(folder) ? 0 : -1;
}

static int
tear_down(void **state)
{
	char command[128];

	(void) state;
	event_base_free(base);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static Store *
open_store(void)
{
	char reason[256];
	Store *store = store_open(base, folder, 100000, reason, sizeof(reason));

	if (!store)
		fail_msg("%s", reason);
	return store;
}

static void
add(Store *store, int meter_id)
{
	Reading reading = { .meter_id = meter_id, .kwh = { meter_id, 2, true }, .relay_closed = -1 };

	store_add(store, &reading);
}

typedef struct Got
{
	int flushed;
	int batches;
	int64_t seq;
	int rows;
} Got;

static void
on_flushed(void *arg, bool good)
{
	assert_true(good);
	((Got *) arg)->flushed++;
}

static void
on_batch(void *arg, SpoolBatch *batch)
{
	Got *got = arg;

	got->batches++;
	got->seq = batch ? batch->seq : 0;
	got->rows = batch ? batch->rows : 0;
	if (batch)
		spool_batch_free(batch);
}

static void
on_late(void *arg, bool good)
{
	(void) arg;
	(void) good;
	fail_msg("called after the end");
}

static void
run_until(const int *count, int wanted)
{
	int64_t end = clock_mono() + 30 * USEC_PER_SEC;

	while (*count < wanted && clock_mono() < end)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(*count, wanted);
}

static void
readings(void **state)
{
	Store *store = open_store();
	Got got = { 0 };

	(void) state;
	for (int i = 1; i <= 300; i++)
		add(store, i);
	assert_int_equal(store_rows(store), 300);
	assert_true(store_oldest(store) > 0);
	/* The second batch call finds the first one's batch, which nobody has acknowledged. */
	store_flush(store, on_flushed, &got);
	add(store, 301);
	assert_int_equal(store_rows(store), 301);
	store_batch(store, on_batch, &got);
	run_until(&got.batches, 1);
	assert_int_equal(got.flushed, 1);
	assert_int_equal(got.rows, 300);
	assert_int_equal(got.seq, 1);
	assert_int_equal(store_rows(store), 301);
	store_flush(store, on_flushed, &got);
	store_ack(store, 1);
	store_batch(store, on_batch, &got);
	run_until(&got.batches, 2);
	assert_int_equal(got.seq, 2);
	assert_int_equal(got.rows, 1);
	assert_int_equal(store_rows(store), 1);
	store_ack(store, 2);
	store_batch(store, on_batch, &got);
	run_until(&got.batches, 3);
	assert_int_equal(got.rows, 0);
	assert_int_equal(store_rows(store), 0);
	assert_int_equal(store_oldest(store), 0);
	store_close(store);
}

static void
kept_at_the_end(void **state)
{
	Store *store = open_store();
	char uuid[SPOOL_UUID_SIZE];

	(void) state;
	strcpy(uuid, store_uuid(store));
	for (int i = 1; i <= 7; i++)
		add(store, i);
	store_hello(store, 0, on_late, NULL);
	store_close(store);
	store = open_store();
	assert_string_equal(store_uuid(store), uuid);
	assert_int_equal(store_rows(store), 7);
	store_close(store);
}

static void
outcomes(void **state)
{
	Store *store = open_store();
	Got got = { 0 };

	(void) state;
	assert_null(store_outcome_next(store));
	store_outcome_begin(store, 41, 1);
	store_outcome_begin(store, 42, 3);
	store_outcome_end(store, 42, 3, "done", "{\"relay_closed\":false}");
	store_outcome_begin(store, 43, 1);
	store_outcome_end(store, 43, 1, "failed", "{}");
	/* Known at once, whatever the disk does. */
	assert_int_equal(store_outcomes(store), 2);
	assert_true(store_outcome_waiting(store, 42));
	assert_false(store_outcome_waiting(store, 41));
	assert_int_equal(store_outcome_next(store)->command_id, 42);
	assert_string_equal(store_outcome_next(store)->result, "{\"relay_closed\":false}");
	store_outcome_delete(store, 42, 2); /* another attempt */
	assert_int_equal(store_outcome_next(store)->command_id, 42);
	store_outcome_delete(store, 42, 3);
	assert_int_equal(store_outcome_next(store)->command_id, 43);
	store_flush(store, on_flushed, &got);
	run_until(&got.flushed, 1);
	store_close(store);

	/* 41 was running when the process ended. */
	store = open_store();
	assert_int_equal(store_outcomes(store), 2);
	assert_int_equal(store_outcome_next(store)->command_id, 41);
	assert_string_equal(store_outcome_next(store)->outcome, "unknown");
	store_outcome_delete(store, 41, 1);
	assert_int_equal(store_outcome_next(store)->command_id, 43);
	assert_string_equal(store_outcome_next(store)->outcome, "failed");
	store_outcome_delete(store, 43, 1);
	store_close(store);
	store = open_store();
	assert_int_equal(store_outcomes(store), 0);
	store_close(store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(readings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(kept_at_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(outcomes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_spool.c
 *		The spool: batches and numbers, outcomes, bounds, damage, and kill -9 in a loop.
 */
#include "log.h"
#include "metrics.h"
#include "spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[64];

static int
make_folder(void **state)
{
	(void) state;
	strcpy(folder, "/tmp/prepayd-spool-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(void **state)
{
	char command[128];

	(void) state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static Spool *
open_spool(int64_t max_rows)
{
	char reason[256];
	Spool *spool = spool_open(folder, max_rows, reason, sizeof(reason));

	if (!spool)
		fail_msg("%s", reason);
	return spool;
}

static Reading
reading_of(int meter_id, int64_t read_at)
{
	Reading reading;

	memset(&reading, 0, sizeof(reading));
	reading.meter_id = meter_id;
	reading.read_at = read_at;
	reading.kwh = (Decimal){ read_at, 2, true };
	reading.relay_closed = -1;
	return reading;
}

static void
add(Spool *spool, int meter_id, int64_t read_at)
{
	Reading reading = reading_of(meter_id, read_at);

	spool_add(spool, &reading, 1);
}

static void
columns(void **state)
{
	Spool *spool = open_spool(1000);
	Reading reading = reading_of(7, 1767225600000001);
	SpoolBatch batch;

	(void) state;
	assert_false(spool_batch(spool, &batch));
	reading.reverse_kwh = (Decimal){ 5, 3, true };
	reading.periods = 2;
	reading.period_kwh[0] = (Decimal){ 100, 2, true };
	reading.period_kwh[1] = (Decimal){ 200, 2, true };
	reading.kw = (Decimal){ -1500, 3, true };
	reading.relay_closed = 0;
	reading.meter_balance = (Decimal){ 1234, 2, true };
	reading.purchase_count = (Decimal){ 8, 0, true };
	reading.meter_clock = (Decimal){ 1767225600, 0, true };
	spool_add(spool, &reading, 1);
	reading = reading_of(8, 0);
	reading.periods = 2;
	reading.period_kwh[0] = (Decimal){ 100, 2, true }; /* the second is unknown: no split */
	reading.relay_closed = 1;
	spool_add(spool, &reading, 1);
	assert_false(spool_batch(spool, &batch)); /* not durable yet */
	assert_true(spool_flush(spool));
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.seq, 1);
	assert_int_equal(batch.rows, 2);
	assert_string_equal(batch.column[0].data, "{7,8}");
	assert_string_equal(batch.column[1].data, "{2026-01-01T00:00:00.000001+00:00,"
											  "1970-01-01T00:00:00.000000+00:00}");
	assert_string_equal(batch.column[2].data, "{17672256000000.01,0.00}");
	assert_string_equal(batch.column[3].data, "{0.005,NULL}");
	assert_string_equal(batch.column[4].data, "{\"{1.00,2.00}\",NULL}");
	assert_string_equal(batch.column[5].data, "{-1.500,NULL}");
	assert_string_equal(batch.column[6].data, "{f,t}");
	assert_string_equal(batch.column[7].data, "{12.34,NULL}");
	assert_string_equal(batch.column[8].data, "{8,NULL}");
	assert_string_equal(batch.column[9].data, "{2026-01-01T00:00:00.000000+00:00,NULL}");
	spool_batch_free(&batch);
	spool_close(spool);
}

static void
numbers(void **state)
{
	Spool *spool = open_spool(10000);
	SpoolBatch batch;
	SpoolBatch again;
	char uuid[SPOOL_UUID_SIZE];

	(void) state;
	for (int i = 0; i < 2500; i++)
		add(spool, 1, i);
	assert_true(spool_flush(spool));
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.rows, SPOOL_BATCH_ROWS);
	add(spool, 1, 99999); /* a later reading does not slip into a numbered batch */
	assert_true(spool_flush(spool));
	strcpy(uuid, spool_uuid(spool));
	spool_close(spool);

	spool = open_spool(10000);
	assert_string_equal(spool_uuid(spool), uuid);
	assert_true(spool_batch(spool, &again));
	assert_int_equal(again.seq, batch.seq);
	assert_string_equal(again.column[1].data, batch.column[1].data);
	spool_batch_free(&again);
	spool_batch_free(&batch);
	spool_ack(spool, 0); /* not ours yet */
	assert_int_equal(spool_rows(spool), 2501);
	spool_ack(spool, 1);
	assert_int_equal(spool_rows(spool), 1501);
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.seq, 2);
	spool_batch_free(&batch);
	spool_close(spool);

	/* The acknowledgement of 2 was lost with the process: hello brings it. */
	spool = open_spool(10000);
	assert_true(spool_hello(spool, 2));
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.seq, 3);
	assert_int_equal(batch.rows, 501);
	spool_batch_free(&batch);
	spool_ack(spool, 3);
	assert_false(spool_batch(spool, &batch));
	assert_int_equal(spool_rows(spool), 0);
	assert_int_equal(spool_oldest(spool), 0);
	spool_close(spool);
}

/* A spool restored from a copy: the database is ahead, so nothing may go out under old numbers. */
static void
database_ahead(void **state)
{
	Spool *spool = open_spool(1000);
	SpoolBatch batch;
	char uuid[SPOOL_UUID_SIZE];

	(void) state;
	add(spool, 1, 1);
	spool_flush(spool);
	assert_true(spool_batch(spool, &batch));
	spool_batch_free(&batch);
	strcpy(uuid, spool_uuid(spool));
	assert_false(spool_hello(spool, 5));
	assert_string_not_equal(spool_uuid(spool), uuid);
	assert_true(spool_hello(spool, 0));
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.seq, 1);
	assert_int_equal(batch.rows, 1);
	spool_batch_free(&batch);
	spool_close(spool);
}

static void
bounded(void **state)
{
	Spool *spool = open_spool(1500);
	SpoolBatch batch;
	uint64_t dropped = spool_counts(spool)->dropped;

	(void) state;
	for (int i = 0; i < 1200; i++)
		add(spool, 1, i);
	spool_flush(spool);
	assert_true(spool_batch(spool, &batch));
	spool_batch_free(&batch);
	for (int i = 1200; i < 2200; i++)
		add(spool, 1, i);
	spool_flush(spool);
	/* The numbered 1000 stay, so the oldest of the rest go. */
	assert_int_equal(spool_rows(spool), 2000);
	assert_int_equal(spool_counts(spool)->dropped - dropped, 200);
	add(spool, 1, 2200);
	spool_flush(spool);
	assert_int_equal(spool_rows(spool), 1251); /* whole chunks go */
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.rows, 1000);
	assert_true(strncmp(batch.column[2].data, "{0.00,0.01,", 11) == 0);
	spool_batch_free(&batch);
	spool_close(spool);
}

static void
outcomes(void **state)
{
	Spool *spool = open_spool(1000);
	SpoolOutcome outcome;

	(void) state;
	assert_false(spool_outcome_next(spool, 0, &outcome));
	assert_true(spool_outcome_begin(spool, 41, 1));
	assert_false(spool_outcome_next(spool, 0, &outcome)); /* still running */
	assert_true(spool_outcome_begin(spool, 42, 3));
	assert_true(spool_outcome_end(spool, 42, 3, "done", "{\"relay_closed\":false}"));
	spool_close(spool);

	/* 41 was running when the process ended. */
	spool = open_spool(1000);
	assert_int_equal(spool_outcomes(spool), 2);
	assert_true(spool_outcome_next(spool, 0, &outcome));
	assert_int_equal(outcome.command_id, 41);
	assert_string_equal(outcome.outcome, "unknown");
	free(outcome.result);
	spool_outcome_delete(spool, 41, 1);
	assert_true(spool_outcome_next(spool, outcome.id, &outcome));
	assert_int_equal(outcome.command_id, 42);
	assert_int_equal(outcome.attempt, 3);
	assert_string_equal(outcome.outcome, "done");
	assert_string_equal(outcome.result, "{\"relay_closed\":false}");
	free(outcome.result);
	spool_outcome_delete(spool, 42, 2); /* another attempt's report does not end this one */
	assert_int_equal(spool_outcomes(spool), 1);
	spool_outcome_delete(spool, 42, 3);
	assert_int_equal(spool_outcomes(spool), 0);
	spool_close(spool);
}

static int
files_like(const char *pattern)
{
	char path[128];
	glob_t files;
	int count;

	snprintf(path, sizeof(path), "%s/%s", folder, pattern);
	count = glob(path, 0, NULL, &files) == 0 ? (int) files.gl_pathc : 0;
	globfree(&files);
	return count;
}

static void
scribble(off_t at, size_t len)
{
	char path[128];
	char noise[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/spool.db", folder);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	memset(noise, 0x5a, sizeof(noise));
	assert_int_equal(pwrite(fd, noise, len, at), (ssize_t) len);
	close(fd);
}

static void
damaged(void **state)
{
	Spool *spool = open_spool(1000);
	char uuid[SPOOL_UUID_SIZE];
	SpoolBatch batch;

	(void) state;
	add(spool, 1, 1);
	spool_flush(spool);
	strcpy(uuid, spool_uuid(spool));
	spool_close(spool);
	scribble(0, 100);
	spool = open_spool(1000);
	assert_string_not_equal(spool_uuid(spool), uuid);
	assert_int_equal(files_like("spool.db.bad-*"), 1);
	add(spool, 1, 2);
	assert_true(spool_flush(spool));
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.seq, 1);
	spool_batch_free(&batch);
	spool_close(spool);

	/* Deleted under our feet: goes on in a new file with what is in memory. */
	spool = open_spool(1000);
	strcpy(uuid, spool_uuid(spool));
	assert_int_equal(system("rm -f /tmp/prepayd-spool-*/spool.db*"), 0);
	add(spool, 1, 3);
	spool_flush(spool);
	assert_true(spool_flush(spool));
	assert_string_not_equal(spool_uuid(spool), uuid);
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.rows, 1);
	spool_batch_free(&batch);
	spool_close(spool);
}

/* A torn page in the middle of readings: these are lost and counted, the others are not. */
static void
torn_chunk(void **state)
{
	Spool *spool = open_spool(10000);
	uint64_t dropped = spool_counts(spool)->dropped;
	SpoolBatch batch;
	char path[128];
	char *content;
	char *needle;
	FILE *file;
	long size;

	(void) state;
	for (int i = 0; i < 750; i++)
	{
		add(spool, 4711, INT64_C(1767225600000000) + i);
		if (i % 250 == 249)
			spool_flush(spool);
	}
	spool_close(spool);
	snprintf(path, sizeof(path), "%s/spool.db", folder);
	file = fopen(path, "r+b");
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	content = malloc((size_t) size);
	rewind(file);
	assert_int_equal(fread(content, 1, (size_t) size, file), size);
	/* Three times the meter's number, which every reading holds, and the constant step of time. */
	needle = memmem(content, (size_t) size, "\xce\x49\x02\x00", 4);
	assert_non_null(needle);
	fseek(file, needle - content, SEEK_SET);
	fputc(0x7f, file);
	fclose(file);
	free(content);

	spool = open_spool(10000);
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.rows, 500);
	assert_int_equal(spool_counts(spool)->dropped - dropped, 250);
	spool_batch_free(&batch);
	spool_ack(spool, 1);
	assert_int_equal(spool_rows(spool), 0);
	spool_close(spool);
}

/* A file system of our own over the folder; false where that is not allowed. */
static bool
mount_small(const char *options)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		   mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		   mount("prepayd", folder, "tmpfs", 0, options) == 0;
}

/* The disk is full: what is there is still numbered, sent and deleted, and room is made again. */
static void
full_disk(void **state)
{
	SpoolBatch batch;
	Spool *spool;
	int64_t held;
	int last = 0;

	(void) state;
	if (!mount_small("size=6m"))
		skip();
	log_set_level((LogLevel) (LEVEL_ERROR + 1));
	spool = open_spool(INT64_C(10000000));
	for (int turn = 0; turn < 600; turn++)
	{
		for (int i = 0; i < 1000; i++)
			add(spool, 1 + (int) random() % 100000, ++last);
		spool_flush(spool);
	}
	held = spool_rows(spool);
	assert_in_range(held, 50000, 599000);
	assert_true(spool_flush(spool));
	for (int64_t seq = 1; spool_batch(spool, &batch); seq++)
	{
		assert_int_equal(batch.seq, seq);
		held -= batch.rows;
		spool_batch_free(&batch);
		spool_ack(spool, seq);
	}
	assert_int_equal(held, 0);
	assert_int_equal(spool_rows(spool), 0);
	assert_true(spool_flush(spool));
	spool_close(spool);
	umount(folder);
	log_set_level(LEVEL_ERROR);
}

/* Nothing can be written: it starts all the same, from memory, and goes to the disk when it may. */
static void
read_only(void **state)
{
	SpoolBatch batch;
	Spool *spool;

	(void) state;
	if (!mount_small("size=9m,ro"))
		skip();
	log_set_level((LogLevel) (LEVEL_ERROR + 1));
	spool = open_spool(1000);
	add(spool, 1, 1);
	assert_true(spool_flush(spool));
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.seq, 1);
	assert_int_equal(batch.rows, 1);
	spool_batch_free(&batch);
	spool_ack(spool, 1);
	assert_int_equal(files_like("spool.db"), 0);
	assert_int_equal(mount("prepayd", folder, "tmpfs", MS_REMOUNT, "size=9m"), 0);
	assert_true(spool_flush(spool));
	add(spool, 1, 2);
	assert_true(spool_flush(spool));
	assert_int_equal(files_like("spool.db"), 1);
	assert_true(spool_batch(spool, &batch));
	assert_int_equal(batch.seq, 1); /* under the file's own uuid */
	spool_batch_free(&batch);
	spool_close(spool);
	umount(folder);
	log_set_level(LEVEL_ERROR);
}

/* From readings to the texts of ingest and their acknowledgement. */
static void
fast(void **state)
{
	Spool *spool = open_spool(INT64_C(1000000));
	Reading reading = reading_of(1, INT64_C(1767225600000000));
	struct timespec begun;
	struct timespec ended;
	SpoolBatch batch;
	int64_t seq = 0;
	int rows = 0;
	double seconds;

	(void) state;
	reading.kw = (Decimal){ 1234, 3, true };
	reading.meter_balance = (Decimal){ 123456, 2, true };
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (int i = 0; i < 200000; i++)
	{
		reading.meter_id = 1 + i % 5000;
		reading.read_at += 200;
		reading.kwh = (Decimal){ 1000000 + i, 2, true };
		spool_add(spool, &reading, 1);
		if (i % 1000 == 999)
			assert_true(spool_flush(spool));
	}
	/* Large batches while much waits, small ones at the end of it. */
	while (spool_batch(spool, &batch))
	{
		rows += batch.rows;
		assert_int_equal(batch.rows, rows <= 200000 - SPOOL_BACKLOG_ROWS ? SPOOL_BACKLOG_ROWS
																		 : SPOOL_BATCH_ROWS);
		spool_batch_free(&batch);
		spool_ack(spool, ++seq);
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	seconds =
		(double) (ended.tv_sec - begun.tv_sec) + (double) (ended.tv_nsec - begun.tv_nsec) / 1e9;
	printf("%.0f readings/s in and out of the spool\n", 200000 / seconds);
	assert_int_equal(rows, 200000);
	spool_close(spool);
}

static void
exclusive(void **state)
{
	Spool *spool = open_spool(1000);
	char reason[256];

	(void) state;
	assert_null(spool_open(folder, 1000, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "another process"));
	spool_close(spool);
}

/*
 * The child writes numbered readings, says on a pipe which are durable and which batch it sends,
 * and waits for the answer as the agent does. The parent plays the database and the power supply:
 * it stores and answers, or stores and kills, or kills, or kills while the child writes. Every
 * reading that was said to be durable must be stored once, and a number must never come with two
 * contents.
 */
typedef struct Say
{
	int64_t durable; /* readings 1..durable are on disk; 0: this is a batch */
	int64_t seq;
	int64_t first;
	int64_t rows;
} Say;

typedef struct Database
{
	int64_t last_seq;
	int64_t stored; /* readings 1..stored */
	int64_t durable;
	int64_t repeats;
	int64_t kills;
} Database;

#define BATCHES_MAX 100000
static int64_t first_of[BATCHES_MAX];
static int64_t rows_of[BATCHES_MAX];

static void
say_it(int out, const Say *say)
{
	if (write(out, say, sizeof(*say)) != sizeof(*say))
		_exit(1);
}

static void
child_work(int out, int in, int64_t next, int64_t last_seq)
{
	Spool *spool = open_spool(100000);

	spool_hello(spool, last_seq);
	for (;;)
	{
		Say say = { 0 };
		SpoolBatch batch;
		long whole;
		long cents;
		char answer;

		for (int i = 0; i < 7; i++)
			add(spool, 1, next++);
		if (spool_flush(spool))
		{
			say.durable = next - 1;
			say_it(out, &say);
		}
		if (!spool_batch(spool, &batch))
			continue;
		sscanf(batch.column[2].data, "{%ld.%02ld", &whole, &cents);
		say = (Say){ 0, batch.seq, whole * 100 + cents, batch.rows };
		spool_batch_free(&batch);
		say_it(out, &say);
		if (read(in, &answer, 1) != 1)
			_exit(1);
		spool_ack(spool, say.seq);
	}
}

static void
database_store(Database *database, const Say *say)
{
	assert_true(say->seq < BATCHES_MAX);
	if (first_of[say->seq])
	{
		assert_int_equal(first_of[say->seq], say->first);
		assert_int_equal(rows_of[say->seq], say->rows);
		database->repeats++;
	}
	first_of[say->seq] = say->first;
	rows_of[say->seq] = say->rows;
	if (say->seq <= database->last_seq)
		return;
	/* Each starts where the one before ended: nothing is lost, nothing comes twice. */
	assert_int_equal(say->seq, database->last_seq + 1);
	assert_int_equal(say->first, database->stored + 1);
	database->last_seq = say->seq;
	database->stored += say->rows;
}

static void
serve_until_killed(Database *database, pid_t child, int from, int to)
{
	Say say;
	bool alive = true;

	while (read(from, &say, sizeof(say)) == sizeof(say))
	{
		long dice = random() % 48;

		if (say.durable)
			database->durable = say.durable;
		else if (dice == 0)
		{
			/* Sent, never arrived: it must come again as it is. */
			first_of[say.seq] = say.first;
			rows_of[say.seq] = say.rows;
		}
		else
			database_store(database, &say);
		if (alive && dice < 2)
		{
			if (say.durable)
				usleep((useconds_t) (random() % 3000));
			kill(child, SIGKILL);
			database->kills++;
			alive = false;
		}
		else if (alive && !say.durable)
			assert_int_equal(write(to, "a", 1), 1);
	}
}

static void
killed(void **state)
{
	Database database = { 0 };

	(void) state;
	srandom(3);
	for (int round = 0; round < 60; round++)
	{
		int up[2];
		int down[2];
		pid_t child;
		Spool *spool;

		assert_int_equal(pipe(up) | pipe(down), 0);
		child = fork();
		if (child == 0)
		{
			close(up[0]);
			close(down[1]);
			child_work(up[1], down[0], database.durable + 1, database.last_seq);
		}
		close(up[1]);
		close(down[0]);
		serve_until_killed(&database, child, up[0], down[1]);
		close(up[0]);
		close(down[1]);
		waitpid(child, NULL, 0);
		/* What is on disk and not stored is all that was said to be durable; a flush that ended
		 * just before the kill may not have been said. */
		spool = open_spool(100000);
		spool_hello(spool, database.last_seq);
		assert_true(database.stored + spool_rows(spool) >= database.durable);
		database.durable = database.stored + spool_rows(spool);
		spool_close(spool);
	}
	assert_true(database.kills == 60 && database.repeats > 0 && database.durable > 2000);
	print_message("killed %ld times: %ld readings, %ld batches, %ld repeated\n",
				  (long) database.kills, (long) database.durable, (long) database.last_seq,
				  (long) database.repeats);
}

int
main(void)
{
#define SPOOL_TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)
	const struct CMUnitTest tests[] = { SPOOL_TEST(columns),		SPOOL_TEST(numbers),
										SPOOL_TEST(database_ahead), SPOOL_TEST(bounded),
										SPOOL_TEST(outcomes),		SPOOL_TEST(damaged),
										SPOOL_TEST(torn_chunk),		SPOOL_TEST(full_disk),
										SPOOL_TEST(read_only),		SPOOL_TEST(fast),
										SPOOL_TEST(exclusive),		SPOOL_TEST(killed) };

	log_set_level(LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

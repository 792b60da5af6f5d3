/*
 * state.c: the state file: a first line naming the format, then one line a meter.
 *
 * A meter goes on counting from the instant at which it was saved, so the time during which the
 * simulator was off is metered too. Faults and journals are not kept.
 */
#include "state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define STATE_HEADER "prepay-sim-state 1"
#define STATE_LINE_MAX 1024

_Static_assert(LOAD_BANDS == 4, "the state line names four bands");

#define OUT_COUNTERS \
	"%" PRId64 ":%" PRId64 ",%" PRId64 ":%" PRId64 ",%" PRId64 ":%" PRId64 ",%" PRId64 ":%" PRId64
#define IN_COUNTERS \
	"%" SCNd64 ":%" SCNd64 ",%" SCNd64 ":%" SCNd64 ",%" SCNd64 ":%" SCNd64 ",%" SCNd64 ":%" SCNd64
#define COUNTERS(band, op)                                                                 \
	op(band)[0].mwh, op(band)[0].rest, op(band)[1].mwh, op(band)[1].rest, op(band)[2].mwh, \
		op(band)[2].rest, op(band)[3].mwh, op(band)[3].rest

static void
write_meter(FILE *file, const Meter *meter)
{
	fprintf(file,
			"%s t=%" PRId64 " in=" OUT_COUNTERS " out=" OUT_COUNTERS " mw=%" PRId64
			" reverse_mw=%" PRId64 " forced=%d,%d contact=%d,%d welded=%d button=%d"
			" balance_e10=%" PRId64 " price_e4=%" PRId64 " count=%u\n",
			meter->code, meter->integrated_us, COUNTERS(meter->imported, ),
			COUNTERS(meter->exported, ), meter->mean_mw, meter->reverse_mw, meter->forced,
			meter->forced_open, meter->contact_closed, meter->close_permitted, meter->welded,
			meter->button, meter->balance_e10, meter->price_e4, meter->purchase_count);
}

static bool
read_meter(const char *line, World *world)
{
	char code[METER_CODE_MAX];
	Meter saved;
	Meter *meter;
	int forced[2];
	int contact[2];
	int welded;
	int button;
	unsigned count;
	int used = 0;

	if (sscanf(line, "%63s%n", code, &used) != 1)
		return false;
	meter = world_find_meter(world, code);
	if (meter == NULL)
		return true;
	saved = *meter;
	if (sscanf(line + used,
			   " t=%" SCNd64 " in=" IN_COUNTERS " out=" IN_COUNTERS " mw=%" SCNd64
			   " reverse_mw=%" SCNd64 " forced=%d,%d contact=%d,%d welded=%d button=%d"
			   " balance_e10=%" SCNd64 " price_e4=%" SCNd64 " count=%u",
			   &saved.integrated_us, COUNTERS(saved.imported, &), COUNTERS(saved.exported, &),
			   &saved.mean_mw, &saved.reverse_mw, &forced[0], &forced[1], &contact[0], &contact[1],
			   &welded, &button, &saved.balance_e10, &saved.price_e4, &count) != 28)
		return false;
	saved.forced = forced[0] != 0;
	saved.forced_open = forced[1] != 0;
	saved.contact_closed = contact[0] != 0;
	saved.close_permitted = contact[1] != 0;
	saved.welded = welded != 0;
	saved.button = button != 0;
	saved.purchase_count = (uint16_t) count;
	saved.power_known = false;
	*meter = saved;
	return true;
}

static bool
read_lines(FILE *file, World *world)
{
	char line[STATE_LINE_MAX];

	if (fgets(line, sizeof(line), file) == NULL || strcmp(line, STATE_HEADER "\n") != 0)
		return false;
	while (fgets(line, sizeof(line), file) != NULL)
		if (!read_meter(line, world))
			return false;
	return ferror(file) == 0;
}

bool
state_load(const char *path, World *world)
{
	FILE *file = fopen(path, "re");
	bool loaded;

	if (file == NULL && errno == ENOENT)
		return true;
	if (file == NULL)
	{
		log_line("event=state_error file=%s error=\"%s\"", path, strerror(errno));
		return false;
	}
	loaded = read_lines(file, world);
	fclose(file);
	if (!loaded)
		log_line("event=state_error file=%s error=\"not a state file\"", path);
	return loaded;
}

static bool
write_lines(FILE *file, World *world)
{
	int64_t now = bclock_now(&world->clock);

	fprintf(file, STATE_HEADER "\n");
	for (int i = 0; i < world->meters; i++)
	{
		meter_advance(world->meter[i], now);
		write_meter(file, world->meter[i]);
	}
	return fflush(file) == 0 && ferror(file) == 0 && fsync(fileno(file)) == 0;
}

bool
state_save(const char *path, World *world)
{
	char temporary[4096];
	FILE *file;
	bool written;

	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int) sizeof(temporary))
		errno = ENAMETOOLONG;
	else if ((file = fopen(temporary, "we")) != NULL)
	{
		written = write_lines(file, world);
		written = fclose(file) == 0 && written;
		if (written && rename(temporary, path) == 0)
			return true;
	}
	log_line("event=state_error file=%s error=\"%s\"", path, strerror(errno));
	return false;
}

/*
 * clock.c: prepay.now, the setting behind the business clock.
 *
 *   ''              business time is the transaction's time
 *   T               frozen at T
 *   T@REAL*RATE     T at real time REAL, then RATE business seconds a real second
 *
 * Only a superuser may set it: a clock moves money.
 */
#include "clock.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"

#include "errors.h"
#include "money.h"

static char *clock_text = NULL;
static Clock clock_state;

PG_FUNCTION_INFO_V1(prepay_now);

static bool
parse_time(const char *text, TimestampTz *time)
{
	char buffer[MAXDATELEN + MAXDATEFIELDS];
	char *field[MAXDATEFIELDS];
	int ftype[MAXDATEFIELDS];
	int nfields;
	int dtype;
	struct pg_tm tm;
	fsec_t fsec;
	int tz;

	if (strlen(text) > MAXDATELEN ||
		ParseDateTime(text, buffer, sizeof(buffer), field, ftype, MAXDATEFIELDS, &nfields) != 0 ||
		DecodeDateTime(field, ftype, nfields, &dtype, &tm, &fsec, &tz) != 0 || dtype != DTK_DATE)
		return false;
	return tm2timestamp(&tm, fsec, &tz, time) == 0;
}

static bool
parse_clock(char *text, Clock *clock)
{
	char *at_sign = strchr(text, '@');
	char *star = at_sign ? strrchr(at_sign, '*') : NULL;

	memset(clock, 0, sizeof(*clock));
	if (*text == '\0')
		return true;
	clock->is_set = true;
	if (at_sign == NULL)
		return parse_time(text, &clock->at);
	if (star == NULL)
		return false;
	*at_sign = *star = '\0';
	return parse_time(text, &clock->at) && parse_time(at_sign + 1, &clock->real) &&
		   decimal_parse(star + 1, 6, &clock->rate_e6) == DECIMAL_OK && clock->rate_e6 >= 0 &&
		   clock->rate_e6 <= INT64CONST(1000000) * 1000000;
}

static bool
check_clock(char **newval, void **extra, GucSource source)
{
	Clock *clock = malloc(sizeof(Clock));
	char text[256];

	if (clock == NULL)
		return false;
	strlcpy(text, *newval ? *newval : "", sizeof(text));
	if (!parse_clock(text, clock))
	{
		free(clock);
		GUC_check_errcode(ERRCODE_PP_BAD_CLOCK);
		GUC_check_errdetail("The clock is empty, a time, or TIME@REAL_TIME*RATE.");
		GUC_check_errhint("For example '2026-01-05 00:00+08' or "
						  "'2026-01-05 00:00+08@2026-11-22 12:00+00*2880'.");
		return false;
	}
	*extra = clock;
	return true;
}

static void
assign_clock(const char *newval, void *extra)
{
	if (extra)
		clock_state = *(Clock *) extra;
}

void
clock_init(void)
{
	/*
	 * Set by tests, demonstrations and what-if runs. A wrong clock prices and
	 * cuts at wrong times, hence superuser only.
	 */
	DefineCustomStringVariable("prepay.now",
							   "Business clock: empty (real time), T, or T@REAL*RATE.", NULL,
							   &clock_text, "", PGC_SUSET, 0, check_clock, assign_clock, NULL);
}

const Clock *
clock_setting(void)
{
	return &clock_state;
}

TimestampTz
clock_from_real(TimestampTz real)
{
	if (!clock_state.is_set)
		return real;
	return clock_state.at +
		   (TimestampTz) ((__int128) (real - clock_state.real) * clock_state.rate_e6 / 1000000);
}

TimestampTz
clock_now(void)
{
	return clock_from_real(GetCurrentTransactionStartTimestamp());
}

Datum
prepay_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(clock_now());
}

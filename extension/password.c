#include "password.h"

#include "libpq/crypt.h"
#include "libpq/scram.h"
#include "mb/pg_wchar.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#include "db.h"
#include "site.h"

#define MAX_PASSWORD_BYTES 256
#define MIN_NAME_BYTES 4 /* shorter ones are in many words */
#define MICRO 1000000

/* An operator of no site: what a site has that sets nothing. */
static const PasswordRules default_rules = { 12, "password_min_length", 3, 0, 5 };

/*
 * The clear text came in the text of the statement. What the server shows of a running
 * statement and writes of a failed one is replaced; what it wrote before the function was
 * called (log_statement = 'all') or writes after it (log_min_duration_statement) is not.
 */
void
password_hide(const char *function)
{
	static char shown[64];

	snprintf(shown, sizeof(shown), "SELECT prepay.%s(...)", function);
	debug_query_string = shown;
	pgstat_report_activity(STATE_RUNNING, shown);
}

PasswordRules
password_rules(const int32 *site_id, int n)
{
	PasswordRules rules = { .length_setting = "password_min_length" };
	int i;

	if (n == 0)
		return default_rules;
	for (i = 0; i < n; i++)
	{
		const Site *site = site_get(site_id[i]);
		int days = setting_micro(site, "password_days", 0) / MICRO;

		rules.min_length =
			Max(rules.min_length, setting_micro(site, "password_min_length", 0) / MICRO);
		rules.classes = Max(rules.classes, setting_micro(site, "password_classes", 0) / MICRO);
		rules.history = Max(rules.history, setting_micro(site, "password_history", 0) / MICRO);
		if (days > 0 && (rules.days == 0 || days < rules.days))
			rules.days = days;
	}
	return rules;
}

PasswordRules
password_tenant_rules(const Site *site)
{
	return (PasswordRules){
		.min_length = setting_micro(site, "tenant_password_min_length", 0) / MICRO,
		.length_setting = "tenant_password_min_length",
		.classes = setting_micro(site, "password_classes", 0) / MICRO,
	};
}

static int
count_classes(const char *password)
{
	bool lower = false;
	bool upper = false;
	bool digit = false;
	bool other = false;

	for (; *password; password++)
		if (*password >= 'a' && *password <= 'z')
			lower = true;
		else if (*password >= 'A' && *password <= 'Z')
			upper = true;
		else if (*password >= '0' && *password <= '9')
			digit = true;
		else
			other = true;
	return lower + upper + digit + other;
}

static char *
lower_case(const char *text)
{
	return asc_tolower(text, strlen(text));
}

static void
refuse(const char *fault, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PASSWORD), errmsg("the password %s", fault),
					errhint("%s", hint)));
}

static bool
was_used(const PasswordRules *rules, const char *name, const char *password)
{
	static DbQuery query = { "SELECT verifier FROM prepay.operator_password WHERE operator = $1"
							 " ORDER BY password_no DESC LIMIT $2",
							 2,
							 { NAMEOID, INT4OID } };
	Datum args[] = { db_name_datum(name), Int32GetDatum(rules->history) };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
		if (scram_verify_plain_password(name, password, db_text(i, 1)))
			return true;
	return false;
}

void
password_check(const PasswordRules *rules, const char *name, const char *password)
{
	if (get_password_type(password) != PASSWORD_TYPE_PLAINTEXT)
		refuse("looks like a stored one",
			   "Give the password itself: of a verifier nothing can be checked.");
	if (strlen(password) > MAX_PASSWORD_BYTES)
		refuse(psprintf("has more than %d bytes", MAX_PASSWORD_BYTES), "Choose a shorter one.");
	if (pg_mbstrlen(password) < rules->min_length)
		refuse(psprintf("has fewer than %d characters", rules->min_length),
			   psprintf("Setting %s says how long it must be.", rules->length_setting));
	if (count_classes(password) < rules->classes)
		refuse(psprintf("has fewer than %d of: lower case, upper case, digits, others",
						rules->classes),
			   "Setting password_classes says how many it must have.");
	if (strlen(name) >= MIN_NAME_BYTES && strstr(lower_case(password), lower_case(name)) != NULL)
		refuse("contains the name it is for", "Choose another.");
	if (was_used(rules, name, password))
		refuse(psprintf("is one of the last %d", rules->history),
			   "Setting password_history says how many may not come back.");
}

bool
password_matches(const char *verifier, const char *password)
{
	return strlen(password) <= MAX_PASSWORD_BYTES &&
		   scram_verify_plain_password("", password, verifier);
}

char *
password_verifier(const char *password)
{
	return pg_be_scram_build_secret(password);
}

void
password_remember(const PasswordRules *rules, const char *name, const char *verifier)
{
	static DbQuery insert = {
		"INSERT INTO prepay.operator_password (operator, password_no, verifier)"
		" SELECT $1, COALESCE(max(password_no), 0) + 1, $2 FROM prepay.operator_password"
		" WHERE operator = $1 RETURNING password_no",
		2,
		{ NAMEOID, TEXTOID }
	};
	static DbQuery forget = {
		"DELETE FROM prepay.operator_password WHERE operator = $1 AND password_no <= $2",
		2,
		{ NAMEOID, INT4OID }
	};
	Datum args[] = { db_name_datum(name), CStringGetTextDatum(verifier) };

	db_run(&insert, args);
	args[1] = Int32GetDatum(db_int32(0, 1) - rules->history);
	db_run(&forget, args);
}

TimestampTz
password_expires(const PasswordRules *rules)
{
	if (rules->days == 0)
		return DT_NOEND;
	return GetCurrentTimestamp() + rules->days * USECS_PER_DAY;
}

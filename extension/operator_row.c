/*
 * operator_row.c: the rows of an operator: who it is, and the sites it works at.
 */
#include "operator.h"

#include "utils/array.h"
#include "utils/builtins.h"

#include "auth.h"
#include "code.h"
#include "lock.h"
#include "oplog.h"

/* ---- arguments ---- */

char *
operator_text(FunctionCallInfo fcinfo, int i, const char *what)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s is missing", what)));
	return text_to_cstring(PG_GETARG_TEXT_PP(i));
}

int
operator_texts(FunctionCallInfo fcinfo, int i, const char *what, char ***list)
{
	Datum *value;
	bool *isnull;
	int n;
	int k;

	*list = NULL;
	if (PG_ARGISNULL(i))
		return 0;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(i), TEXTOID, -1, false, TYPALIGN_INT, &value, &isnull,
					  &n);
	*list = palloc(sizeof(char *) * Max(n, 1));
	for (k = 0; k < n; k++)
	{
		if (isnull[k])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("%s of an operator cannot be NULL", what)));
		(*list)[k] = TextDatumGetCString(value[k]);
	}
	return n;
}

static bool
contains(const int32 *list, int n, int32 value)
{
	int i;

	for (i = 0; i < n; i++)
		if (list[i] == value)
			return true;
	return false;
}

int
operator_sites(FunctionCallInfo fcinfo, int i, const DbSession *session, bool may_be_one,
			   int32 **site_id)
{
	char **code;
	int given = operator_texts(fcinfo, i, "a site", &code);
	int n = 0;
	int k;

	*site_id = palloc(sizeof(int32) * (given + 1));
	for (k = 0; k < given; k++)
	{
		int32 id = code_site(session->caller, code[k]);

		if (!contains(*site_id, n, id))
			(*site_id)[n++] = id;
	}
	if (n == 0 && may_be_one)
		(*site_id)[n++] = code_site(session->caller, NULL);
	return n;
}

/* ---- what is known ---- */

static void
load_sites(Operator *operator)
{
	static DbQuery query = { "SELECT site_id FROM prepay.operator_site WHERE operator = $1"
							 " ORDER BY site_id",
							 1,
							 { NAMEOID } };
	Datum arg = db_name_datum(operator->name);
	int i;

	operator->n_site = db_run(&query, &arg);
	operator->site_id = palloc(sizeof(int32) * Max(operator->n_site, 1));
	for (i = 0; i < operator->n_site; i++)
		operator->site_id[i] = db_int32(i, 1);
}

void
operator_load(const char *name, Operator *operator)
{
	static DbQuery query = { "SELECT dropped_at IS NOT NULL, valid_until FROM prepay.operator"
							 " WHERE operator = $1",
							 1,
							 { NAMEOID } };
	Datum arg = db_name_datum(name);

	memset(operator, 0, sizeof(*operator));
	operator->name = pstrdup(name);
	operator->known = db_run(&query, &arg) == 1;
	operator->dropped = operator->known && db_bool(0, 1);
	operator->valid_until = operator->known ? db_time_or(0, 2, DT_NOEND) : DT_NOEND;
	load_sites(operator);
}

void
operator_require(const DbSession *session, const char *name, Operator *operator)
{
	int i;

	auth_require(session->caller, MAY_CONFIGURE, 0, "manage operators");
	lock_install();
	operator_load(name, operator);
	if (!operator->known || operator->dropped)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("there is no operator \"%s\"", name),
						operator->dropped ? errdetail("It was dismissed.") : 0,
						errhint("Operators are listed in prepay.operators.")));
	for (i = 0; i < operator->n_site; i++)
		if (!auth_has_site(session->caller, operator->site_id[i]))
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
							errmsg("operator \"%s\" also works at a site that is not yours", name),
							errhint("Only an administrator of all its sites can change it.")));
}

char *
operator_site_names(const int32 *site_id, int n)
{
	static DbQuery query = { "SELECT string_agg(code, ', ' ORDER BY code) FROM prepay.site"
							 " WHERE site_id = ANY ($1)",
							 1,
							 { INT4ARRAYOID } };
	Datum arg = db_array_int32(site_id, n);

	if (n == 0)
		return NULL;
	db_run(&query, &arg);
	return db_text(0, 1);
}

void
operator_log(const char *action, const Operator *operator, Jsonb * before, Jsonb *after)
{
	OplogEntry *entry = palloc(sizeof(OplogEntry) * Max(operator->n_site, 1));
	int n = Max(operator->n_site, 1);
	int i;

	for (i = 0; i < n; i++)
		entry[i] = (OplogEntry){ operator->n_site> 0 ? operator->site_id[i] : 0, action,
								 psprintf("operator:%s", operator->name), before, after };
	oplog_write(entry, n);
}

/* ---- changes ---- */

void
operator_add_sites(Operator *operator, const int32 * site_id, int n)
{
	static DbQuery query = { "INSERT INTO prepay.operator_site (site_id, operator)"
							 " SELECT unnest($1), $2 ON CONFLICT DO NOTHING",
							 2,
							 { INT4ARRAYOID, NAMEOID } };
	Datum args[] = { db_array_int32(site_id, n), db_name_datum(operator->name) };

	if (n > 0)
		db_run(&query, args);
	load_sites(operator);
}

void
operator_take_sites(Operator *operator, const int32 * site_id, int n)
{
	static DbQuery query = { "DELETE FROM prepay.operator_site WHERE site_id = ANY ($1)"
							 " AND operator = $2",
							 2,
							 { INT4ARRAYOID, NAMEOID } };
	Datum args[] = { db_array_int32(site_id, n), db_name_datum(operator->name) };

	if (n > 0)
		db_run(&query, args);
	load_sites(operator);
}

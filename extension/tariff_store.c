/*
 * tariff_store.c: what tariff is in force for a meter at a time.
 */
#include "tariff_store.h"

#include "utils/builtins.h"

#include "db.h"

int32
tariff_find(const Site *site, const char *code)
{
	static DbQuery query = { "SELECT tariff_id FROM prepay.tariff WHERE site_id = $1 AND code = $2",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(code) };

	return db_run(&query, args) == 1 ? db_int32(0, 1) : 0;
}

TariffRules
tariff_rules(const Site *site, int32 meter_id, int32 account_id)
{
	/* A meter stands at its own place, or at its account's. */
	static DbQuery query = {
		"WITH RECURSIVE spot (place_id, depth) AS (SELECT COALESCE("
		"  (SELECT m.place_id FROM prepay.meter m WHERE m.site_id = $1 AND m.meter_id = $2),"
		"  (SELECT a.place_id FROM prepay.account a WHERE a.site_id = $1 AND a.account_id = $3)), 0"
		" UNION ALL"
		" SELECT p.parent_id, s.depth + 1 FROM spot s JOIN prepay.place p"
		"  ON p.site_id = $1 AND p.place_id = s.place_id WHERE s.depth < 100)"
		"SELECT t.rank, t.valid_from, t.assignment, COALESCE(t.tariff_id, 0) FROM ("
		" SELECT 0 AS rank, m.valid_from, m.assignment, m.tariff_id FROM prepay.tariff_assignment m"
		"  WHERE m.site_id = $1 AND m.target_kind = 'meter' AND m.target_id = $2"
		" UNION ALL SELECT 1, a.valid_from, a.assignment, a.tariff_id"
		"  FROM prepay.tariff_assignment a"
		"  WHERE a.site_id = $1 AND a.target_kind = 'account' AND a.target_id = $3"
		" UNION ALL SELECT 2 + s.depth, p.valid_from, p.assignment, p.tariff_id"
		"  FROM spot s JOIN prepay.tariff_assignment p"
		"  ON p.site_id = $1 AND p.target_kind = 'place' AND p.target_id = s.place_id"
		" UNION ALL SELECT 1000, c.valid_from, c.assignment, c.tariff_id"
		"  FROM prepay.tariff_assignment c WHERE c.site_id = $1 AND c.target_kind = 'site') AS t"
		" ORDER BY t.rank, t.valid_from, t.assignment",
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 Int32GetDatum(account_id) };
	TariffRules rules;
	int i;

	rules.n = db_run(&query, args);
	rules.rule = palloc(sizeof(TariffRule) * Max(rules.n, 1));
	for (i = 0; i < rules.n; i++)
	{
		rules.rule[i].rank = db_int32(i, 1);
		rules.rule[i].valid_from = db_time(i, 2);
		rules.rule[i].assignment = db_int32(i, 3);
		rules.rule[i].tariff_id = db_int32(i, 4);
	}
	return rules;
}

int32
tariff_at(const TariffRules *rules, TimestampTz instant, TimestampTz *from, TimestampTz *until)
{
	int32 tariff_id = 0;
	int i;

	*from = DT_NOBEGIN;
	*until = DT_NOEND;
	for (i = 0; i < rules->n; i++)
	{
		const TariffRule *rule = &rules->rule[i];

		/* The last rule of a rank that has begun is the rank's answer; the best rank wins. */
		if (rule->valid_from > instant)
			*until = Min(*until, rule->valid_from);
		else
			*from = Max(*from, rule->valid_from);
	}
	for (i = 0; i < rules->n && tariff_id == 0;)
	{
		int32 rank = rules->rule[i].rank;

		for (; i < rules->n && rules->rule[i].rank == rank; i++)
			if (rules->rule[i].valid_from <= instant)
				tariff_id = rules->rule[i].tariff_id;
	}
	return tariff_id;
}

int
tariff_code_spans(const Site *site, TariffCode *code, TimestampTz from, TimestampTz to,
				  RateSpan *spans, int room)
{
	int n = 0;
	int i;

	tariff_know_days(site, code, from, to);
	if (code->n == 0 || code->version[0].valid_from > from)
	{
		spans[n].from = from;
		spans[n].to = code->n ? Min(code->version[0].valid_from, to) : to;
		spans[n].tariff_id = code->tariff_id;
		spans[n].version = 0;
		spans[n++].tariff = NULL;
	}
	for (i = 0; i < code->n; i++)
	{
		const TariffVersion *version = &code->version[i];
		TimestampTz begin = Max(version->valid_from, from);
		TimestampTz end = Min(version->valid_to, to);

		if (begin >= end)
			continue;
		if (n == room)
			elog(ERROR, "more than %d tariff versions in one interval", room);
		spans[n].from = begin;
		spans[n].to = end;
		spans[n].tariff_id = code->tariff_id;
		spans[n].version = version->version;
		spans[n++].tariff = version->tariff;
	}
	return n;
}

int
tariff_spans(const Site *site, const TariffRules *rules, TimestampTz from, TimestampTz to,
			 RateSpan **spans)
{
	int room = 64;
	int n = 0;
	TimestampTz begin = from;

	*spans = palloc(sizeof(RateSpan) * room);
	while (begin < to)
	{
		TimestampTz ignored;
		TimestampTz until;
		int32 tariff_id = tariff_at(rules, begin, &ignored, &until);
		TimestampTz end = Min(until, to);
		TariffCode *code = tariff_id ? tariff_code(site, tariff_id) : NULL;
		int wanted = n + (code ? code->n : 0) + 1;

		if (wanted > room)
		{
			room = wanted * 2;
			*spans = repalloc(*spans, sizeof(RateSpan) * room);
		}
		if (code)
			n += tariff_code_spans(site, code, begin, end, *spans + n, room - n);
		else
		{
			RateSpan *span = &(*spans)[n++];

			span->from = begin;
			span->to = end;
			span->tariff_id = span->version = 0;
			span->tariff = NULL;
		}
		begin = end;
	}
	return n;
}

/* The resolved tariff in meter_state is void from here on: the next reading resolves anew. */
#define FORGET "UPDATE prepay.meter_state s SET tariff_until = '-infinity' WHERE s.site_id = $1"

static void
forget_resolved(const Site *site, const char *kind, int32 target_id)
{
	static DbQuery of_meter = { FORGET " AND s.meter_id = $2", 2, { INT4OID, INT4OID } };
	static DbQuery of_account = { FORGET " AND s.account_id = $2", 2, { INT4OID, INT4OID } };
	static DbQuery of_place = {
		"WITH RECURSIVE below (place_id, depth) AS (SELECT $2, 0 UNION ALL"
		" SELECT p.place_id, b.depth + 1 FROM below b JOIN prepay.place p"
		"  ON p.site_id = $1 AND p.parent_id = b.place_id WHERE b.depth < 100)" FORGET
		" AND s.tariff_until <> '-infinity' AND s.meter_id IN (SELECT m.meter_id"
		"  FROM prepay.meter m LEFT JOIN prepay.account a ON a.site_id = m.site_id"
		"   AND a.account_id = s.account_id WHERE m.site_id = $1 AND m.meter_id = s.meter_id"
		"   AND COALESCE(m.place_id, a.place_id) IN (SELECT b.place_id FROM below b))",
		2,
		{ INT4OID, INT4OID }
	};
	static DbQuery of_site = { FORGET " AND s.tariff_until <> '-infinity'", 1, { INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(target_id) };

	db_run(strcmp(kind, "meter") == 0	  ? &of_meter
		   : strcmp(kind, "account") == 0 ? &of_account
		   : strcmp(kind, "place") == 0	  ? &of_place
										  : &of_site,
		   args);
}

void
tariff_assign(const Site *site, const char *kind, int32 target_id, int32 tariff_id,
			  TimestampTz valid_from)
{
	static DbQuery insert = {
		"INSERT INTO prepay.tariff_assignment (site_id, target_kind, target_id, valid_from,"
		" assignment, tariff_id, assigned_at, operator)"
		" SELECT $1, $2, $3, $4, COALESCE(max(assignment), 0) + 1, NULLIF($5, 0), $6, prepay.operator_name()"
		" FROM prepay.tariff_assignment WHERE site_id = $1 AND target_kind = $2 AND target_id = $3",
		6,
		{ INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(kind),
					 Int32GetDatum(target_id),	   TimestampTzGetDatum(valid_from),
					 Int32GetDatum(tariff_id),	   TimestampTzGetDatum(site->now) };

	db_run(&insert, args);
	forget_resolved(site, kind, target_id);
}

TimestampTz
tariff_first_assignment(const Site *site, const char *kind, int32 target_id)
{
	static DbQuery query = { "SELECT 1 FROM prepay.tariff_assignment WHERE site_id = $1"
							 " AND target_kind = $2 AND target_id = $3 LIMIT 1",
							 3,
							 { INT4OID, TEXTOID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(kind),
					 Int32GetDatum(target_id) };

	return db_run(&query, args) == 0 ? DT_NOBEGIN : site->now;
}

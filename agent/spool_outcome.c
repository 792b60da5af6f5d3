/*
 * spool_outcome.c
 *		Command outcomes in the spool.
 */
#include "spool_file.h"

#include <string.h>

static bool
store_outcome(Spool *spool, int64_t command_id, int attempt, const char *outcome,
			  const char *result, int final)
{
	int64_t values[3] = { command_id, attempt, final };
	sqlite3_stmt *statement;
	int code;

	if (!spool_present(spool))
		return false;
	statement =
		spool_prepare(spool,
					  "INSERT OR REPLACE INTO outcome(command_id, attempt, final, outcome, result)"
					  " VALUES(?1, ?2, ?3, ?4, ?5)",
					  3, values);
	if (statement)
	{
		sqlite3_bind_text(statement, 4, outcome, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 5, result, -1, SQLITE_STATIC);
	}
	code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
	sqlite3_finalize(statement);
	if (code != SQLITE_DONE)
	{
		spool_recover(spool, "storing an outcome");
		return false;
	}
	spool->outcomes = spool_query_int(spool, "SELECT count(*) FROM outcome WHERE final = 1", 0);
	return true;
}

bool
spool_outcome_begin(Spool *spool, int64_t command_id, int attempt)
{
	return store_outcome(spool, command_id, attempt, "unknown",
						 "{\"error\": \"the agent stopped while the command was in progress\"}", 0);
}

bool
spool_outcome_end(Spool *spool, int64_t command_id, int attempt, const char *outcome,
				  const char *result)
{
	return store_outcome(spool, command_id, attempt, outcome, result, 1);
}

void
spool_outcome_delete(Spool *spool, int64_t command_id, int attempt)
{
	int64_t values[2] = { command_id, attempt };

	if (!spool_present(spool))
		return;
	if (!spool_run_with(spool, "DELETE FROM outcome WHERE command_id = ?1 AND attempt = ?2", 2,
						values))
		spool_recover(spool, "deleting an outcome");
	spool->outcomes = spool_query_int(spool, "SELECT count(*) FROM outcome WHERE final = 1", 0);
}

bool
spool_outcome_next(Spool *spool, int64_t after, SpoolOutcome *outcome)
{
	sqlite3_stmt *statement =
		spool_prepare(spool,
					  "SELECT id, command_id, attempt, outcome, result FROM outcome"
					  " WHERE final = 1 AND id > ?1 ORDER BY id LIMIT 1",
					  1, &after);
	bool found = statement && sqlite3_step(statement) == SQLITE_ROW;

	if (found)
	{
		outcome->id = sqlite3_column_int64(statement, 0);
		outcome->command_id = sqlite3_column_int64(statement, 1);
		outcome->attempt = sqlite3_column_int(statement, 2);
		text_copy(outcome->outcome, sizeof(outcome->outcome),
				  (const char *) sqlite3_column_text(statement, 3));
		outcome->result = mem_strdup((const char *) sqlite3_column_text(statement, 4));
	}
	sqlite3_finalize(statement);
	return found;
}

bool
spool_group_begin(Spool *spool)
{
	return spool_present(spool) && spool_run(spool, "BEGIN IMMEDIATE");
}

bool
spool_group_end(Spool *spool)
{
	/* After an error there is no transaction left to end. */
	if (!spool->db || sqlite3_get_autocommit(spool->db))
		return false;
	if (spool_run(spool, "COMMIT"))
		return true;
	spool_recover(spool, "storing outcomes");
	return false;
}

int64_t
spool_outcomes(const Spool *spool)
{
	return spool->outcomes;
}

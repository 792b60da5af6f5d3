/*
 * delivery_api.c: the outbox for workers: take_messages, report_message.
 *
 * Any number of workers may take at once. The right to call is the EXECUTE privilege,
 * which an administrator gives to a worker's role; operator_site says for which sites.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "code.h"
#include "db.h"
#include "delivery.h"

PG_FUNCTION_INFO_V1(prepay_take_messages);
PG_FUNCTION_INFO_V1(prepay_report_message);

#define MESSAGE_COLUMNS 9

static const Site *
site_argument(const DbSession *session, FunctionCallInfo fcinfo)
{
	return site_get(
		code_site(session->caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

static void
put_message(ReturnSetInfo *result, const Site *site, const Delivery *message)
{
	bool nulls[MESSAGE_COLUMNS] = { [3] = message->account == NULL };
	Datum values[MESSAGE_COLUMNS] = {
		CStringGetTextDatum(site->code),
		Int64GetDatum(message->notification_id),
		Int32GetDatum(message->tries),
		db_text_datum(message->account),
		CStringGetTextDatum(message->phone),
		CStringGetTextDatum(message->template),
		CStringGetTextDatum(message->language),
		CStringGetTextDatum(message->body),
		DirectFunctionCall1(jsonb_in, CStringGetDatum(message->params)),
	};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * take_messages(site, max) → the oldest messages of channel webhook that are due, for the
 * caller alone for five minutes: then those not reported are anybody's again.
 */
Datum
prepay_take_messages(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DbSession session;
	const Site *site;
	Delivery *message;
	int n;
	int i;

	if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max must be at least 1"),
						errhint("The default is 100.")));
	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	site = site_argument(&session, fcinfo);
	n = delivery_take(site, "webhook", PG_GETARG_INT32(1), &message);
	for (i = 0; i < n; i++)
		put_message(result, site, &message[i]);
	db_leave(&session);
	return (Datum) 0;
}

static DeliveryOutcome
parse_outcome(const char *text)
{
	static const char *const name[] = { [DELIVERY_SENT] = "sent",
										[DELIVERY_DELIVERED] = "delivered",
										[DELIVERY_AGAIN] = "retry",
										[DELIVERY_FAILED] = "failed" };
	int i;

	for (i = 0; i < lengthof(name); i++)
		if (strcmp(name[i], text) == 0)
			return (DeliveryOutcome) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no outcome \"%s\"", text),
			 errhint("Outcomes are: sent, delivered, retry, failed.")));
}

/*
 * report_message(site, message_id, try, outcome) → false when the message has been taken
 * by somebody else since, or its end is known already: then nothing changes.
 */
Datum
prepay_report_message(PG_FUNCTION_ARGS)
{
	DbSession session;
	DeliveryOutcome outcome;
	bool changed;
	int i;

	for (i = 1; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("message, try and outcome must be given")));
	outcome = parse_outcome(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	db_enter(&session);
	changed = delivery_settle(site_argument(&session, fcinfo), "webhook", PG_GETARG_INT64(1),
							  PG_GETARG_INT32(2), outcome, false);
	db_leave(&session);
	PG_RETURN_BOOL(changed);
}

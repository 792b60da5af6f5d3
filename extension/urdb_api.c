/*
 * urdb_api.c: tariff_from_urdb.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "errors.h"
#include "jsonb_doc.h"
#include "tariff_api.h"
#include "urdb.h"

PG_FUNCTION_INFO_V1(prepay_tariff_from_urdb);

static void
warn_of_notes(const Doc *definition)
{
	const Doc *notes = doc_get(definition, "notes");
	StringInfoData list;
	int i;

	if (notes == NULL)
		return;
	initStringInfo(&list);
	for (i = 0; i < notes->n; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? "\n" : "", notes->item[i].text);
	ereport(WARNING,
			(errcode(ERRCODE_WARNING), errmsg("the tariff is not the URDB rate to the letter"),
			 errdetail("%s", list.data),
			 errhint("This stands in \"notes\" of the definition. Add what you charge as"
					 " \"standing\" or \"surcharges\".")));
}

/*
 * tariff_from_urdb(rate) → definition for define_tariff(). Raises PP030 with path and
 * hint where a kWh would not cost what the rate says.
 */
Datum
prepay_tariff_from_urdb(PG_FUNCTION_ARGS)
{
	DocFault fault;
	Jsonb *rate;
	Doc *definition;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the rate must be given")));
	rate = PG_GETARG_JSONB_P(0);
	tariff_check_size(rate);
	definition = urdb_definition(jsonb_doc(rate), &fault);
	if (definition == NULL)
		tariff_refuse("the URDB rate is refused", &fault);
	warn_of_notes(definition);
	PG_RETURN_JSONB_P(doc_jsonb(definition));
}

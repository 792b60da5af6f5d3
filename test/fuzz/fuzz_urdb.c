/*
 * fuzz_urdb.c: any text as a rate of the Utility Rate Database; what is imported is a tariff.
 */
#include "doc_json.h"
#include "tariff.h"
#include "urdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
fail(const DocFault *fault)
{
	fprintf(stderr, "%s: %s\n", fault->path, fault->what);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = core_alloc(size + 1);
	char error[200];
	Doc *rate;

	memcpy(text, data, size);
	rate = doc_from_json(text, error, sizeof(error));
	if (rate)
	{
		DocFault fault = { "", "", "" };
		Doc *definition = urdb_definition(rate, &fault);

		if (definition)
		{
			Tariff *tariff = tariff_load(definition, &fault);

			if (tariff == NULL)
				fail(&fault);
			tariff_free(tariff);
			doc_free(definition);
		}
		else if (fault.what[0] == '\0' || fault.hint[0] == '\0')
			fail(&fault);
		doc_free(rate);
	}
	core_free(text);
	return 0;
}

/*
 * profile_codec.c
 *		A profile at work: requests, the values in their answers, the bytes of writes.
 */
#include "profile.h"

#include "buf.h"
#include "clock.h"
#include "clock_fields.h"
#include "dlt645.h"

#include <stdio.h>
#include <string.h>

#define IDENTIFICATION 4

/* ---- reading ---- */

size_t
profile_request_pdu(const Profile *profile, const ProfileRequest *request, uint8_t *pdu)
{
	if (profile->protocol == FRAME_DLT645)
		return dlt645_read_request(pdu, request->address);
	return frame_read_request(pdu, request->function, (uint16_t) request->address, request->count);
}

const uint8_t *
profile_answer_data(const Profile *profile, const ProfileRequest *request, const uint8_t *pdu,
					size_t len)
{
	if (profile->protocol == FRAME_MODBUS)
		return pdu + 2; /* the frame's check has counted the registers */
	return len == 1U + IDENTIFICATION + request->count ? pdu + 1 + IDENTIFICATION : NULL;
}

ProfileRequest
profile_point_request(const Profile *profile, int point)
{
	const ProfileBlock *block = &profile->block[profile->point[point].block];

	return (ProfileRequest){ block->function, block->address, block->count, false };
}

/* Where the point lies in the answer, NULL when it does not. */
static const uint8_t *
find_bytes(const Profile *profile, const ProfilePoint *point, const ProfileRequest *request,
		   const uint8_t *data)
{
	const ProfileBlock *block = &profile->block[point->block];
	size_t begin;

	if (block->function != request->function || block->address < request->address)
		return NULL;
	if (profile->protocol == FRAME_DLT645)
		return block->address == request->address ? data + point->offset : NULL;
	begin = 2 * (size_t) (block->address - request->address) + point->offset;
	return begin + point->bytes <= 2U * request->count ? data + begin : NULL;
}

static Decimal
decode_number(const ProfilePoint *point, uint64_t raw)
{
	int width = 8 * point->bytes;
	uint64_t top = UINT64_C(1) << (width - 1);
	Decimal value;

	switch (point->kind)
	{
		case VALUE_FLOAT:
			return decimal_from_ieee(raw, width, point->exp10, point->decimals);
		case VALUE_BCD:
			return decimal_from_bcd(raw, width, point->exp10);
		case VALUE_SIGNED_BCD:
			value = decimal_from_bcd(raw & ~top, width, point->exp10);
			if (raw & top)
				value.units = -value.units;
			return value;
		case VALUE_SIGNED:
			if (raw & top)
				return decimal_from_integer((__int128) raw - ((__int128) 1 << width), point->exp10);
			return decimal_from_integer(raw, point->exp10);
		default:
			return decimal_from_integer(raw, point->exp10);
	}
}

static Decimal
decode_clock(const ProfilePoint *point, const uint8_t *bytes)
{
	Decimal value = { 0, 0, false };
	int64_t usec;

	value.known = clock_from_fields(point->format, bytes, point->kind == VALUE_CLOCK_BCD, &usec);
	if (value.known)
		value.units = usec / USEC_PER_SEC;
	return value;
}

bool
profile_point_value(const Profile *profile, const ProfilePoint *point,
					const ProfileRequest *request, const uint8_t *data, PointValue *value)
{
	const uint8_t *wire = find_bytes(profile, point, request, data);
	uint64_t raw = 0;

	if (!wire)
		return false;
	value->flag = -1;
	value->number = (Decimal){ 0, 0, false };
	if (point->kind >= VALUE_CLOCK_BCD)
	{
		value->number = decode_clock(point, wire);
		return true;
	}
	for (int i = 0; i < point->bytes; i++)
		raw |= (uint64_t) wire[i] << 8 * (point->bytes - 1 - point->order[i]);
	if (point->has_invalid && raw == point->invalid)
		return true;
	raw &= point->mask;
	for (int i = 0; i < point->mapped; i++)
	{
		if (point->map[i].raw == raw)
			value->flag = point->map[i].flag;
	}
	if (point->mapped == 0)
		value->number = decode_number(point, raw);
	return true;
}

/* ---- writing ---- */

static bool
take_rows(const ProfileArg *arg, const json_t *list, uint8_t *out)
{
	size_t index;
	json_t *row;

	if (!json_is_array(list) || json_array_size(list) > (size_t) arg->rows)
		return false;
	memset(out, 0, (size_t) arg->rows * arg->fields);
	json_array_foreach(list, index, row)
	{
		for (int i = 0; i < arg->fields; i++)
		{
			const json_t *field = json_object_get(row, arg->field[i]);

			if (!json_is_integer(field) || json_integer_value(field) < 0 ||
				json_integer_value(field) > UINT8_MAX)
				return false;
			*out++ = (uint8_t) json_integer_value(field);
		}
	}
	return true;
}

bool
profile_arg_value(const ProfileArg *arg, const json_t *given, ProfileValue *value, uint8_t **room)
{
	char text[40];

	if (arg->rows > 0)
	{
		if (!take_rows(arg, given, *room))
			return false;
		value->rows = *room;
		*room += arg->rows * arg->fields;
		return true;
	}
	if (json_is_integer(given))
		snprintf(text, sizeof(text), "%lld", (long long) json_integer_value(given));
	else if (!json_is_string(given) || !text_copy(text, sizeof(text), json_string_value(given)))
		return false;
	return decimal_parse(text, arg->decimals, &value->number) && value->number >= arg->min &&
		   value->number <= arg->max;
}

static bool
token_bytes(const ProfileToken *token, const ProfileValue *args, const ProfileContext *context,
			uint8_t *out)
{
	uint64_t value = token->literal;

	switch (token->kind)
	{
		case TOKEN_CLOCK:
			return clock_to_fields(token->format, context->now + token->ahead_s * USEC_PER_SEC,
								   !token->binary, out);
		case TOKEN_PASSWORD:
			memcpy(out, context->password, sizeof(context->password));
			return true;
		case TOKEN_OPERATOR:
			memcpy(out, context->operator_code, sizeof(context->operator_code));
			return true;
		case TOKEN_ARG:
			value = (uint64_t) args[token->arg].number;
			break;
		case TOKEN_ROWS:
			memcpy(out, args[token->arg].rows, token->width);
			return true;
		case TOKEN_LITERAL:
			break;
	}
	for (int i = 0; i < token->width; i++)
		out[i] = (uint8_t) (value >> 8 * (token->width - 1 - i));
	return true;
}

size_t
profile_data_bytes(const ProfileData *data, const ProfileValue *args, const ProfileContext *context,
				   uint8_t *out)
{
	size_t len = 0;

	for (int i = 0; i < data->tokens; i++)
	{
		if (!token_bytes(&data->token[i], args, context, out + len))
			return 0;
		len += data->token[i].width;
	}
	return len;
}

size_t
profile_step_pdu(const Profile *profile, const ProfileStep *step, const ProfileValue *args,
				 const ProfileContext *context, uint8_t *pdu)
{
	uint8_t data[PROFILE_DATA_BYTES];
	size_t len = profile_data_bytes(&step->data, args, context, data);

	if (len == 0)
		return 0;
	if (profile->protocol == FRAME_MODBUS)
		return frame_write_request(pdu, step->function, step->address, data, len);
	if (len > DLT645_DATA_MAX)
		return 0;
	pdu[0] = step->function;
	memcpy(pdu + 1, data, len);
	return 1 + len;
}

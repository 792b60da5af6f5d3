/*
 * setting.c: table of a meter's settings.
 */
#include "setting.h"

#include <stdio.h>
#include <string.h>

#include "decimal.h"
#include "model.h"

#define KW_MAX 10000
#define DIGITS_MAX 9
#define BALANCE_MAX 999999
#define PRICE_MAX 10000
#define ANYWHERE (SETTING_CONFIG | SETTING_CONTROL)

typedef struct Setting
{
	const char *key;
	int places;
	bool needs_relay;
	bool (*apply)(Meter *meter, const char *value);
} Setting;

static bool
parse_within(const char *text, int decimals, int64_t whole_max, bool signed_value, int64_t *value)
{
	int64_t limit = whole_max * decimal_power10(decimals);

	return decimal_parse(text, decimals, value) && *value <= limit &&
		   *value >= (signed_value ? -limit : 0);
}

static bool
parse_switch(const char *text, bool *on)
{
	*on = strcmp(text, "1") == 0;
	return *on || strcmp(text, "0") == 0;
}

static bool
apply_ratio(Meter *meter, const char *value)
{
	return integer_parse(value, 1, UINT16_MAX, &meter->ratio);
}

static bool
apply_digits(Meter *meter, const char *value)
{
	int64_t digits;

	if (!integer_parse(value, 3, DIGITS_MAX, &digits))
		return false;
	meter->rollover = decimal_power10((int) digits);
	return true;
}

static bool
apply_kwh(Meter *meter, const char *value)
{
	int64_t mwh;

	if (!parse_within(value, METER_ENERGY_DECIMALS, 10000000, false, &mwh))
		return false;
	meter_preset(meter, mwh);
	return true;
}

static bool
apply_shape(Meter *meter, const char *value)
{
	return load_shape_parse(value, &meter->shape);
}

static bool
apply_kw(Meter *meter, const char *value)
{
	int64_t mw;

	if (!parse_within(value, METER_POWER_DECIMALS, KW_MAX, false, &mw))
		return false;
	meter_set_load(meter, mw);
	return true;
}

static bool
apply_reverse_kw(Meter *meter, const char *value)
{
	meter->power_known = false;
	return parse_within(value, METER_POWER_DECIMALS, KW_MAX, false, &meter->reverse_mw);
}

static bool
apply_price(Meter *meter, const char *value)
{
	return parse_within(value, METER_PRICE_DECIMALS, PRICE_MAX, false, &meter->price_e4);
}

static bool
apply_balance(Meter *meter, const char *value)
{
	if (!parse_within(value, METER_BALANCE_DECIMALS, BALANCE_MAX, true, &meter->balance_e10))
		return false;
	meter_settle(meter);
	return true;
}

static bool
apply_count(Meter *meter, const char *value)
{
	int64_t count;

	if (!integer_parse(value, 0, UINT16_MAX, &count))
		return false;
	meter->purchase_count = (uint16_t) count;
	return true;
}

/* "enabled,open" as the two registers hold them. */
static bool
apply_forced(Meter *meter, const char *value)
{
	if (strlen(value) != 3 || value[1] != ',' || strspn(value, "01,") != 3)
		return false;
	meter_force(meter, value[0] == '1', value[2] == '1');
	return true;
}

static bool
apply_welded(Meter *meter, const char *value)
{
	return parse_switch(value, &meter->welded);
}

static bool
apply_button(Meter *meter, const char *value)
{
	if (!parse_switch(value, &meter->button))
		return false;
	if (!meter->button)
		meter_press(meter);
	return true;
}

static bool
apply_press(Meter *meter, const char *value)
{
	if (strcmp(value, "1") != 0)
		return false;
	meter_press(meter);
	return true;
}

static bool
apply_relay(Meter *meter, const char *value)
{
	bool closed = strcmp(value, "closed") == 0;

	if (!closed && strcmp(value, "open") != 0)
		return false;
	meter_operate(meter, closed);
	return true;
}

/* Ratio comes before the reading it scales, the balance before the relay it decides. */
static const Setting settings[] = {
	{ "ratio", SETTING_CONFIG, false, apply_ratio },
	{ "digits", SETTING_CONFIG, false, apply_digits },
	{ "start_kwh", SETTING_CONFIG, false, apply_kwh },
	{ "kwh", SETTING_CONTROL, false, apply_kwh },
	{ "shape", SETTING_CONFIG, false, apply_shape },
	{ "kw", ANYWHERE, false, apply_kw },
	{ "reverse_kw", ANYWHERE, false, apply_reverse_kw },
	{ "price", ANYWHERE, true, apply_price },
	{ "balance", ANYWHERE, true, apply_balance },
	{ "count", ANYWHERE, true, apply_count },
	{ "button", ANYWHERE, true, apply_button },
	{ "forced", ANYWHERE, true, apply_forced },
	{ "welded", ANYWHERE, true, apply_welded },
	{ "relay", SETTING_CONTROL, true, apply_relay },
	{ "press", SETTING_CONTROL, true, apply_press },
};

#define SETTINGS ((int) (sizeof(settings) / sizeof(settings[0])))

/* The value in a word key=value, or NULL for another key. */
static const char *
value_of(const char *word, const char *key)
{
	size_t length = strlen(key);

	return strncmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

bool
setting_given(char *const *words, int count, const char *key)
{
	for (int i = 0; i < count; i++)
		if (value_of(words[i], key) != NULL)
			return true;
	return false;
}

static const Setting *
find_setting(const char *word)
{
	for (int i = 0; i < SETTINGS; i++)
		if (value_of(word, settings[i].key) != NULL)
			return &settings[i];
	return NULL;
}

static bool
check_words(const Meter *meter, SettingPlace place, char *const *words, int count, char *error,
			size_t size)
{
	for (int i = 0; i < count; i++)
	{
		const Setting *setting = find_setting(words[i]);

		if (setting == NULL || (setting->places & place) == 0)
			snprintf(error, size, "unknown setting %s", words[i]);
		else if (setting->needs_relay && !meter->model->has_relay)
			snprintf(error, size, "%s: model %s has no relay", words[i], meter->model->name);
		else if (setting_given(words + i + 1, count - i - 1, setting->key))
			snprintf(error, size, "%s is given twice", setting->key);
		else
			continue;
		return false;
	}
	return true;
}

bool
setting_apply(Meter *meter, SettingPlace place, char *const *words, int count, char *error,
			  size_t size)
{
	if (!check_words(meter, place, words, count, error, size))
		return false;
	for (int s = 0; s < SETTINGS; s++)
		for (int i = 0; i < count; i++)
		{
			const char *value = value_of(words[i], settings[s].key);

			if (value != NULL && !settings[s].apply(meter, value))
			{
				snprintf(error, size, "bad value %s", words[i]);
				return false;
			}
		}
	return true;
}

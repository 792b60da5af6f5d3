/*
 * setting.h: the key=value settings of a meter, in the configuration and on the control port.
 */
#ifndef SIM_SETTING_H
#define SIM_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "meter.h"

typedef enum SettingPlace
{
	SETTING_CONFIG = 1,
	SETTING_CONTROL = 2
} SettingPlace;

/*
 * Apply key=value words allowed in this place, in an order in which none undoes another. All are
 * checked to be known before the first is applied; false with a reason in error otherwise.
 */
extern bool setting_apply(Meter *meter, SettingPlace place, char *const *words, int count,
						  char *error, size_t size);

/* Whether words contain this key. */
extern bool setting_given(char *const *words, int count, const char *key);

#endif

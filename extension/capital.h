/*
 * capital.h: an amount in Chinese capital figures (人民币大写), as receipts and vouchers write it.
 *
 * The rules are those of the People's Bank of China for bills and vouchers (支付结算办法,
 * annex 1): 零 to 玖 with 拾 佰 仟 万 亿; one 零 for any run of zeros inside; 拾 is written
 * 壹拾; 整 after whole 元 and 角, not after 分. Where the rules leave a 零 open it stands
 * after a 元 that ends in 0 (1680.32 is 壹仟陆佰捌拾元零叁角贰分) and not after 万. Above
 * 亿 the words repeat (10^12 is 壹万亿, 10^16 壹亿亿), so no unit is ambiguous. Third and
 * fourth decimals are 厘 and 毫. The currency is not named: 元 is the unit of all of them.
 */
#ifndef PREPAY_CAPITAL_H
#define PREPAY_CAPITAL_H

#include "core.h"

#define CAPITAL_TEXT_MAX 256

/* decimals: 0 to 4. buf holds CAPITAL_TEXT_MAX; every int64 fits. Negative amounts begin with 负.
 */
extern void capital_figures(int64_t minor, int decimals, char *buf);

#endif

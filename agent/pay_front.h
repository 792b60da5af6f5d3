/*
 * pay_front.h
 *		HTTP front of online payment: POST /pay/<channel> is handed to prepay.pay_notify().
 */
#ifndef PREPAYD_PAY_FRONT_H
#define PREPAYD_PAY_FRONT_H

#include "agent.h"

PayFront *pay_front_new(Agent *agent);
void pay_front_free(PayFront *front);

/*
 * Listen at "host:port", a literal address (the plan's payment_listen); NULL: nowhere. Nothing
 * changes when it is the same as before.
 */
void pay_front_listen(PayFront *front, const char *address);

#endif

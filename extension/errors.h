/*
 * errors.h: our SQLSTATE class, for outcomes the standard has no code for.
 *
 * Standard codes are used where they exist (22023 invalid argument, 42501 not
 * allowed, 23505 duplicate). The README lists this table for users; codes are
 * public and keep their meaning for ever.
 */
#ifndef PREPAY_ERRORS_H
#define PREPAY_ERRORS_H

#define PP_ERRCODE(n1, n2, n3) MAKE_SQLSTATE('P', 'P', n1, n2, n3)

#define ERRCODE_PP_NOT_INSTALLED PP_ERRCODE('0', '0', '1')	/* run prepay.install() */
#define ERRCODE_PP_BAD_CLOCK PP_ERRCODE('0', '0', '2')		/* prepay.now is malformed */
#define ERRCODE_PP_CODE_UNKNOWN PP_ERRCODE('0', '1', '0')	/* no object has this code */
#define ERRCODE_PP_CODE_AMBIGUOUS PP_ERRCODE('0', '1', '1') /* several objects have it */
#define ERRCODE_PP_CODE_MALFORMED PP_ERRCODE('0', '1', '2') /* not a code */
#define ERRCODE_PP_CODE_TAKEN PP_ERRCODE('0', '1', '3')		/* already in use */
#define ERRCODE_PP_KEY_CONFLICT PP_ERRCODE('0', '2', '0')	/* key used with other arguments */
#define ERRCODE_PP_BAD_AMOUNT PP_ERRCODE('0', '2', '1')		/* sign, decimals, NaN, range */
#define ERRCODE_PP_OVER_CAP PP_ERRCODE('0', '2', '2')		/* hoarding cap */
#define ERRCODE_PP_NO_FUNDS PP_ERRCODE('0', '2', '3')		/* more than own unspent money */
#define ERRCODE_PP_CLOSED PP_ERRCODE('0', '2', '4')			/* account is closed */
#define ERRCODE_PP_UNDER_MINIMUM PP_ERRCODE('0', '2', '5')	/* below min_sale */
#define ERRCODE_PP_NOT_REVERSIBLE                                                              \
	PP_ERRCODE('0', '2', '6')							  /* reversed before, or not a posting \
														   */
#define ERRCODE_PP_SUSPENDED PP_ERRCODE('0', '2', '7')	  /* account is suspended */
#define ERRCODE_PP_NO_EMERGENCY PP_ERRCODE('0', '2', '8') /* emergency credit not available */
#define ERRCODE_PP_ARREARS PP_ERRCODE('0', '2', '9')	  /* closing in arrears needs "collect" */
#define ERRCODE_PP_IN_METER PP_ERRCODE('0', '2', 'A')	  /* the money is in the meter */
#define ERRCODE_PP_BAD_TARIFF PP_ERRCODE('0', '3', '0')	  /* definition refused */
#define ERRCODE_PP_NO_TARIFF PP_ERRCODE('0', '3', '1')	  /* none in force */
#define ERRCODE_PP_RATED PP_ERRCODE('0', '3', '2')		  /* a dated fact that was rated already */
#define ERRCODE_PP_METER_OWNED PP_ERRCODE('0', '4', '0')  /* meter belongs to an account */
#define ERRCODE_PP_BAD_READING PP_ERRCODE('0', '4', '1')  /* reading refused */
#define ERRCODE_PP_NOT_SHARED PP_ERRCODE('0', '4', '2')	  /* public energy cannot be shared */
#define ERRCODE_PP_DROPPED PP_ERRCODE('0', '4', '3')	  /* of a time whose readings are gone */
#define ERRCODE_PP_IMMUTABLE PP_ERRCODE('0', '5', '0')	  /* append-only rows */
#define ERRCODE_PP_SUPPLY_REFUSED PP_ERRCODE('0', '6', '0') /* supply decision forbids it */
#define ERRCODE_PP_BAD_ACTION PP_ERRCODE('0', '6', '1')		/* unknown action or argument */
#define ERRCODE_PP_BAD_SETTING PP_ERRCODE('0', '6', '2')	/* unknown setting or value */
#define ERRCODE_PP_BAD_IMPORT PP_ERRCODE('0', '7', '0')		/* import row faulty */
#define ERRCODE_PP_BAD_PROFILE PP_ERRCODE('0', '8', '0')	/* meter profile refused */
#define ERRCODE_PP_BAD_TEMPLATE PP_ERRCODE('0', '8', '1')	/* template of a receipt refused */
#define ERRCODE_PP_PAYMENT_SETUP PP_ERRCODE('0', '9', '0')	/* channel or key of it not set up */
#define ERRCODE_PP_PAYMENT_STATE PP_ERRCODE('0', '9', '1')	/* order or payment is past that */
#define ERRCODE_PP_BAD_BILL PP_ERRCODE('0', '9', '2')		/* bill of a channel refused */

#endif

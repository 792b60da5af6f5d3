GRANT SELECT ON prepay.own_money_meters, prepay.purse_moves
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION prepay.withdraw(text, numeric, text, text) TO prepay_admin, prepay_supervisor, prepay_cashier;
GRANT EXECUTE ON FUNCTION prepay.resolve_recharge(text, text, text) TO prepay_admin, prepay_supervisor;

# Sales, sourced by bench.sh: 16 clients on 1 000 households, each with a till of its own; the same as transfers
# of pgledger when PGLEDGER_SQL names its SQL, with the ULID functions it needs, as one file; sales while readings
# are taken in without a pause; then reports and proof over what has been sold.
sales()
{
	pgbench -n -M prepared -c 16 -j 2 -T "$seconds" -D accounts=1000 "$@" >"$dir/pgbench" 2>&1 || { cat "$dir/pgbench"; exit 1; }
	awk '/^tps/ { printf "%.0f", $3 }' "$dir/pgbench"
}
timed() # what statement
{
	printf '%s: ' "$1"
	psql -Xq -d sell -c '\timing on' -c "$2" | sed -n 's/^Time: \([0-9.]* ms\).*/\1/p' | tail -n 1
}
createdb sell
quiet -d sell -v accounts=1000 -f test/bench/sell.sql >/dev/null
quiet -d sell -c 'VACUUM ANALYZE'
sales -f test/bench/sell.pgbench sell >/dev/null # tills are made, plans too
ours=$(sales -f test/bench/sell.pgbench sell)
echo "sales/s of 16 clients: $ours (reach 8000)"
if [ -n "${PGLEDGER_SQL:-}" ]; then
	createdb pgledger
	quiet -d pgledger -f "$PGLEDGER_SQL" -v accounts=1000 -f test/bench/sell_pgledger.sql >/dev/null
	theirs=$(sales -f test/bench/sell_pgledger.pgbench pgledger)
	ours=$(sales -f test/bench/sell.pgbench sell)
	echo "pgledger: $theirs transfers/s, ours beside it: $ours, ratio $(echo "$ours $theirs" | awk '{ printf "%.2f", $1 / $2 }') (reach 3)"
fi
pgbench -n -M prepared -c 1 -T $((seconds + 1)) -D accounts=1000 -f test/bench/sell_ingest.pgbench sell >"$dir/ingest" 2>&1 &
ours=$(cd "$dir" && rm -f sale_log.* && sales -l --log-prefix=sale_log -f "$OLDPWD/test/bench/sell.pgbench" sell)
wait $!
echo "under full ingest: $ours sales/s beside $(awk '/^tps/ { printf "%.0f", $3 * 1000 }' "$dir/ingest") readings/s, p99" \
	"$(cat "$dir"/sale_log.* | awk '{ print $3 }' | sort -n | awk '{ v[NR] = $1 } END { printf "%.1f", v[int(NR * 0.99)] / 1000 }') ms (reach 10)"
quiet -d sell -c 'VACUUM ANALYZE' -c "SELECT 'ledger entries: ' || count(*) FROM prepay.ledger_entry"
timed 'sales_monthly' 'SELECT * FROM prepay.sales_monthly'
timed 'account_status of a building of 1 000' "SELECT * FROM prepay.account_status WHERE place = 'B1'"
timed 'verify() of one account' "SELECT * FROM prepay.verify('town', 'A7')"
timed 'verify() of all' 'SELECT * FROM prepay.verify()'
quiet -d sell -c "SELECT 'broken invariants: ' || count(*) FROM prepay.verify()"

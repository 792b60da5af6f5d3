# Sales, sourced by bench.sh: 16 clients, each at its own till, then all at one; the same as transfers of pgledger
# when PGLEDGER_SQL names its SQL, with the ULID functions it needs, as one file; sales while readings are taken
# in without a pause, in batches of 1 000; then reports and proof over what has been sold.
#
# A batch of readings holds the accounts of its meters to the end of its transaction, and a sale to one of them
# waits. In the town each batch has other households, among all of which the sales are spread; on the block every
# batch has every household there is. Sales come as fast as 16 clients can, then 1 000 a second.
households=${BENCH_HOUSEHOLDS:-100000}
sales() # accounts tills options: sales a second and CPU time of the server, in us a sale
{
	options="-n -M prepared -c 16 -j 2 -T $seconds -D accounts=$1 -D tills=$2"
	shift 2
	cpu=$(ended_cpu)
	pgbench $options "$@" >"$dir/pgbench" 2>&1 || { cat "$dir/pgbench"; exit 1; }
	sleep 1
	count=$(awk '/transactions actually processed/ { print $6 }' "$dir/pgbench")
	echo "$(awk '/^tps/ { printf "%.0f", $3 }' "$dir/pgbench") $(echo "$cpu $(ended_cpu) $count" | awk '{ printf "%.0f", ($2 - $1) * 1e6 / $3 }')"
}
sold() # accounts tills options
{
	sales "$@" -U cashier -f test/bench/sell.pgbench sell
}
percentiles() # of pgbench logs
{
	cat "$dir"/sale_log.* | awk '{ print $3 }' | sort -n |
		awk '{ v[NR] = $1 / 1000 } END { printf "p50 %.1f ms, p99 %.1f ms", v[int(NR * 0.5) + 1], v[int(NR * 0.99) + 1] }'
}
beside_ingest() # what accounts options
{
	pgbench -n -M prepared -c 1 -T $((seconds + 2)) -D meters="$2" -f test/bench/sell_ingest.pgbench sell >"$dir/ingest" 2>&1 &
	what=$1 meters=$2
	shift 2
	rm -f "$dir"/sale_log.*
	ours=$(sold "$meters" 16 -l --log-prefix="$dir/sale_log" "$@")
	wait $!
	echo "beside ingest, $what: ${ours% *} sales/s, $(percentiles) (reach 10), $(awk '/^tps/ { printf "%.0f", $3 * 1000 }' "$dir/ingest")" \
		"readings/s, a batch in $(awk '/^latency average/ { print $4 }' "$dir/ingest") ms, load $(cut -d ' ' -f 1 /proc/loadavg)"
}
timed() # what statement
{
	printf '%s: ' "$1"
	psql -Xq -d sell -c '\timing on' -c "$2" | sed -n 's/^Time: \([0-9.]* ms\).*/\1/p' | tail -n 1
}
createdb sell
quiet -d sell -v accounts="$households" -f test/bench/sell.sql >/dev/null
quiet -d sell -c 'VACUUM ANALYZE'
sold "$households" 16 >/dev/null # tills are made, plans too
ours=$(sold "$households" 16)
echo "sales/s of 16 clients with a till each: ${ours% *} (reach 8000), ${ours#* } us of CPU a sale"
ours=$(sold "$households" 1)
echo "sales/s of 16 clients at one till: ${ours% *}, ${ours#* } us of CPU a sale"
if [ -n "${PGLEDGER_SQL:-}" ]; then
	createdb pgledger
	quiet -d pgledger -f "$PGLEDGER_SQL" -v accounts="$households" -f test/bench/sell_pgledger.sql >/dev/null
	quiet -d pgledger -c 'VACUUM ANALYZE'
	for round in 1 2 3; do
		theirs=$(sales "$households" 16 -f test/bench/sell_pgledger.pgbench pgledger)
		ours=$(sold "$households" 16)
		echo "pgledger: ${theirs% *} transfers/s, ${theirs#* } us of CPU each; ours beside it: ${ours% *}, ${ours#* } us;" \
			"ratio $(echo "$ours $theirs" | awk '{ printf "%.2f, of CPU %.2f", $1 / $3, $4 / $2 }') (reach 3)"
	done
fi
beside_ingest "town" "$households"
beside_ingest "town, 1 000 sales/s" "$households" -R 1000
beside_ingest "block" 1000
beside_ingest "block, 1 000 sales/s" 1000 -R 1000
quiet -d sell -c 'VACUUM ANALYZE' -c "SELECT 'ledger entries: ' || count(*) FROM prepay.ledger_entry"
timed 'sales_monthly' 'SELECT * FROM prepay.sales_monthly'
timed "account_status of a building of $households" "SELECT * FROM prepay.account_status WHERE place = 'B1'"
timed 'verify() of one account' "SELECT * FROM prepay.verify('town', 'A7')"
timed 'verify() of all' 'SELECT * FROM prepay.verify()'
quiet -d sell -c "SELECT 'broken invariants: ' || count(*) FROM prepay.verify()"

#!/bin/bash
# make demo: a town of prepaid shops on this machine, from nothing, with real parts.
#
#   sh test/demo/demo.sh         build, start, show, leave everything running
#   sh test/demo/demo.sh stop    stop and remove it
#
# PREPAY_DEMO_DIR (default /tmp/prepay-demo) holds the cluster, the agent's spool, the simulated
# meters and the logs. Nothing outside of it is written, but for the packages and the extension.

[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set -euo pipefail
umask 022
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
unset PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE \
	PGOPTIONS PGSSLMODE PGTZ PGDATESTYLE PGDATA PGAPPNAME PGCONNECT_TIMEOUT
export PGCLIENTENCODING=UTF8 LC_ALL=C.UTF-8

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
demo=$(realpath -m -- "${PREPAY_DEMO_DIR:-/tmp/prepay-demo}")
step='starting'

. "$here/stack.sh"
. "$here/watch.sh"

# Business time: it begins here, a real second is RATE seconds of the town's.
BEGIN='2026-03-02 06:00:00+08'
RATE=5760
DAYS=5
LATER_RATE=60

fail()
{
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

heading() # text
{
	step=$1
	say ''
	say "== $1"
}

on_exit()
{
	local status=$?

	if [ "$status" != 0 ]
	then
		printf 'demo: %s at "%s"\n' "$([ "$status" = 130 ] && echo interrupted || echo failed)" "$step" >&2
		[ ! -d "$demo/log" ] ||
			printf 'demo: logs are in %s; "make demo-stop" removes everything\n' "$demo/log" >&2
		[ "$status" = 130 ] || status=1
	fi
	exit "$status"
}

clock_from_now() # business-time rate: the clock that shows this time now
{
	echo "$1@$(date -u +%FT%H:%M:%S.%6N)+00*$2"
}

set_clock() # clock
{
	value "ALTER DATABASE town SET prepay.now = :'clock';" clock="$1"
}

# ---- set-up ----

set_up()
{
	heading 'Build'
	build

	heading 'A throw-away PostgreSQL, and the town'
	start_cluster
	note "PostgreSQL $server_version on port $server_port, in $demo"
	find_field_ports
	viewer_password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
	psql -Xq -v ON_ERROR_STOP=1 -d "${conninfo/dbname=town/dbname=postgres}" \
		-c 'CREATE DATABASE town' >/dev/null
	value "ALTER DATABASE town SET timezone = 'Asia/Shanghai';"
	set_clock "$BEGIN"
	sql -c 'CREATE EXTENSION pg_prepay'
	note "CREATE EXTENSION pg_prepay; SELECT prepay.install();"
	note "    $(value 'SELECT prepay.install()')"
	# setup.sql reads its files from where they are; the import comes on standard input.
	(cd "$here" && with_ports town.csv |
		sql -v viewer_password="$viewer_password" -f setup.sql) >"$demo/log/setup.log"
	note "from a CSV file: $(value "SELECT format(
		'%s buildings, %s gateways, %s prepaid and %s check meters',
		(SELECT count(*) FROM prepay.place WHERE kind = 'building'),
		(SELECT count(*) FROM prepay.gateway),
		count(*) FILTER (WHERE purpose = 'prepaid'), count(*) FILTER (WHERE purpose = 'check'))
		FROM prepay.meter")"
	note "accounts: $(value "SELECT format('%s opened, %s CNY sold in %s sales',
		(SELECT count(*) FROM prepay.account_status), sum(amount), count(*))
		FROM prepay.ledger WHERE kind = 'sale'")"
	note "tariff: $(value "SELECT format('%s times of day (%s) x %s tiers a month',
		jsonb_array_length(definition -> 'periods'),
		(SELECT string_agg(p, ', ') FROM jsonb_array_elements_text(definition -> 'periods') p),
		jsonb_array_length(definition #> '{tiers,upto}') + 1) FROM prepay.tariff_version")"
}

start_field()
{
	local clock

	heading "Agent prepayd and the simulated meters start: a day takes $((86400 / RATE)) seconds"
	since=$BEGIN
	clock=$(clock_from_now "$BEGIN" "$RATE")
	set_clock "$clock"
	start_simulator "$clock"
	start_agent
	await 20 'a reading of every meter' \
		"SELECT count(*) = 70 FROM prepay.meter_status WHERE last_read_at > :'since'" since="$since"
	note "all 70 meters have been read over Modbus TCP; they are polled every 30 minutes"
	await 30 'the first alarm' \
		"SELECT EXISTS (SELECT FROM prepay.alarm_history WHERE kind = 'alarm1')"
}

# ---- the story ----

at_meter() # meter key: what the simulated meter itself says
{
	ask_simulator "get $1" | tr ' ' '\n' | sed -n "s/^$2=//p"
}

expect_relays() # state meter...: every one of them, asked at the simulator
{
	local state=$1
	local meter

	shift
	for meter
	do
		[ "$(at_meter "$meter" relay)" = "$state" ] || fail "the relay of $meter is not $state"
	done
	note "asked the simulated meters themselves: $# of $# relays $state"
}

switch_building()
{
	local meters

	heading "One call switches building D off: control('place:D', 'trip')"
	table "SELECT meter, account, action, status, detail
		FROM prepay.control('town/place:D', 'trip', '{}', 'transformer maintenance')"
	mapfile -t meters < <(value "SELECT m.code FROM prepay.meter m
		JOIN prepay.account_meter USING (site_id, meter_id)
		JOIN prepay.account a USING (site_id, account_id) WHERE a.code LIKE 'D-%' ORDER BY 1")
	await 20 'building D off, read back' "SELECT count(*) = 8 AND bool_and(observed = 'off')
		FROM prepay.meter_status WHERE account LIKE 'D-%'"
	report_batch trip
	expect_relays open "${meters[@]}"
	watch_for 3
	heading "and on again: control('place:D', 'close')"
	table "SELECT status, count(*), min(meter) AS from, max(meter) AS to
		FROM prepay.control('town/place:D', 'close', '{}', 'maintenance done') GROUP BY status"
	await 20 'building D on, read back' "SELECT count(*) = 8 AND bool_and(observed = 'on')
		FROM prepay.meter_status WHERE account LIKE 'D-%'"
	report_batch close
	expect_relays closed "${meters[@]}"
}

report_batch() # action: what became of the commands of the last control() call
{
	note "$(value "SELECT format('%s of %s %s commands done between %s and %s, each read back at the'
			' meter: relay %s', count(*) FILTER (WHERE status = 'done'), count(*), action,
			to_char(min(sent_at), 'Dy HH24:MI'), to_char(max(finished_at), 'HH24:MI'),
			string_agg(DISTINCT CASE result ->> 'relay_closed' WHEN 'true' THEN 'closed'
				WHEN 'false' THEN 'open' ELSE 'unknown' END, ' or '))
		FROM prepay.command WHERE NOT automatic AND action = :'action' GROUP BY action" action="$1")"
}

cut_and_sale()
{
	local meter register

	heading 'Money runs out'
	await 60 'an account cut by the supply rule' "SELECT EXISTS (SELECT FROM prepay.command
		WHERE automatic AND action = 'trip' AND status = 'done')"
	IFS='|' read -r shop meter <<<"$(value "SELECT a.code, m.code
		FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id)
			JOIN prepay.account a USING (site_id, account_id)
		WHERE c.automatic AND c.action = 'trip' AND c.status = 'done'
		ORDER BY c.finished_at LIMIT 1")"
	expect_relays open "$meter"
	register=$(at_meter "$meter" kwh)
	note "simulator: get $meter: kwh=$register at $(at_meter "$meter" clock)"
	watch_for 3
	[ "$(at_meter "$meter" kwh)" = "$register" ] || fail "energy flows through the open relay of $meter"
	note "simulator: get $meter: kwh=$(at_meter "$meter" kwh) at $(at_meter "$meter" clock)"

	heading "The shop pays: sell('$shop', 150)"
	table "SELECT account, seq, kind, amount, balance_after, key
		FROM prepay.sell('town/$shop', 150, 'sale-$shop-2', 'cash')"
	await 20 "$shop closed, read back" "SELECT observed = 'on' FROM prepay.meter_status
		WHERE meter = :'meter'" meter="$meter"
	expect_relays closed "$meter"
}

lose_gateway()
{
	heading 'Gateway G2 fails: the simulator refuses its connections'
	ask_simulator "fault G2 refuse" >/dev/null
	await 30 'alarm: gateway G2 lost' \
		"SELECT EXISTS (SELECT FROM prepay.alarm_active WHERE gateway = 'G2' AND kind = 'lost')"
	table "SELECT gateway, state, color, contact_since::timestamp(0), meters, last_read_at::timestamp(0)
		FROM prepay.gateway_status"
	watch_for 5
	heading 'and comes back'
	ask_simulator "fault G2 off" >/dev/null
	await 30 'alarm of gateway G2 cleared' \
		"SELECT NOT EXISTS (SELECT FROM prepay.alarm_active WHERE kind = 'lost')"
	await 30 'every meter read again' "SELECT bool_and(last_read_at > prepay.now() - interval '4 hours')
		FROM prepay.meter_status"
	note "every meter is read again; the energy of the gap is charged, shared by time, as estimated:"
	table "SELECT round(sum(estimated_kwh), 1) AS estimated_kwh, count(DISTINCT account) AS accounts,
			min(day) AS day FROM prepay.usage_daily WHERE estimated_kwh > 0"
}

run_to_the_end()
{
	heading "The town goes on until $DAYS days are over"
	await 120 "$DAYS days" "SELECT prepay.now() >= timestamptz :'begin' + interval '$DAYS days'" \
		begin="$BEGIN"
	note "simulator: stats: $(ask_simulator stats)"
}

# ---- what it came to ----

# The end of the hurry: a running demo that spends a month of everybody's money in eight minutes would
# be dark before anyone has looked around.
slow_down()
{
	local clock

	heading "The clock slows down to $LATER_RATE business seconds a second; every meter is compared"
	stop_agent
	stop_simulator
	clock=$(clock_from_now "$(value 'SELECT prepay.now()')" "$LATER_RATE")
	set_clock "$clock"
	start_simulator "$clock"
	start_agent
	value "SELECT count(*) FROM prepay.control('town', 'read')" >/dev/null
	await 30 'all meters read on demand' "SELECT count(*) = 70 AND bool_and(status = 'done')
		FROM prepay.command WHERE action = 'read'"
	note "control('town', 'read'): all 70 meters read on demand"
	compare_meters || fail 'the database does not have what the meters have'
	note "one register ran over: $(value "SELECT format('%s showed %s kWh on %s and %s kWh after it',
		m.code, r.kwh, to_char(r.read_at, 'Dy HH24:MI'), r.next_kwh)
		FROM prepay.meter m JOIN (SELECT *, lead(kwh) OVER (PARTITION BY meter_id ORDER BY read_at)
			AS next_kwh FROM prepay.reading) r USING (site_id, meter_id) WHERE r.next_kwh < r.kwh")"
}

# The register in the database, and what was billed since the first day, against what each simulated
# meter counts by itself: over the cuts, the lost gateway and the register that ran over. The meters
# are asked a moment later and run on meanwhile.
compare_meters()
{
	local meters

	sql -F ' ' -c "SELECT s.meter, s.register_kwh, u.kwh FROM prepay.meter_status s LEFT JOIN
		(SELECT meter, sum(kwh) AS kwh FROM prepay.usage_daily GROUP BY meter) u USING (meter)
		ORDER BY s.meter" >"$demo/database.txt"
	mapfile -t meters < <(cut -d ' ' -f 1 "$demo/database.txt")
	ask_simulator "${meters[@]/#/get }" | paste -d ' ' "$demo/database.txt" - |
		awk '
			function setting(name, absent,   i)
			{
				for (i = 1; i <= NF; i++)
					if (index($i, name "=") == 1)
						return substr($i, length(name) + 2)
				return absent
			}
			NR == FNR { start[$2] = setting("start_kwh", 0) * setting("ratio", 1); next }
			{
				meters++
				ahead = setting("kwh") - $2
				if (ahead < 0 || ahead > 1.5)
				{
					print "  differs: " $1 " shows " setting("kwh") " kWh, the database has " $2
					wrong++
				}
			}
			$3 ~ /^[0-9]/ {
				billed += $3
				used = setting("energy") - start[$1]
				counted += used
				if ($3 > used + 0.01 || $3 < 0.99 * used - 1)
				{
					print "  differs: " $1 " counts " used " kWh, billed are " $3
					wrong++
				}
			}
			END {
				printf "  %d registers in the database are those of the meters\n", meters - wrong
				printf "  billed %.1f kWh; the meters themselves count %.1f kWh by now\n", billed, counted
				exit wrong > 0 || meters != 70
			}' "$demo/town.sim" -
}

report()
{
	local broken reviews

	heading 'account_status: how they stand, and the 12 lowest'
	table "SELECT state, color, count(*) AS accounts, sum(balance) AS balance
		FROM prepay.account_status GROUP BY state, color ORDER BY count(*) DESC"
	table "SELECT account, customer, place, state, color, balance, last_read_at::timestamp(0), meters_cut
		FROM prepay.account_status ORDER BY balance LIMIT 12"
	heading "usage_daily: yesterday's bill of $shop"
	table "SELECT day, meter, period, tier, kwh, price, amount FROM prepay.usage_daily
		WHERE account = '$shop' AND day = (prepay.now() AT TIME ZONE 'Asia/Shanghai')::date - 1
		UNION ALL
		SELECT NULL, 'total', NULL, NULL, sum(kwh), NULL, sum(amount) FROM prepay.usage_daily
		WHERE account = '$shop' AND day = (prepay.now() AT TIME ZONE 'Asia/Shanghai')::date - 1
		ORDER BY 1 NULLS LAST, 3, 4"
	heading "ledger: the account of $shop"
	table "SELECT seq, kind, day, amount, balance_after, booked_at::timestamp(0), key
		FROM prepay.ledger WHERE account = '$shop' ORDER BY seq"

	heading 'Proof'
	note "$(value "SELECT format('%s readings, %s alarms, %s commands, %s ledger entries, %s messages',
		(SELECT count(*) FROM prepay.reading), (SELECT count(*) FROM prepay.alarm),
		(SELECT count(*) FROM prepay.command), (SELECT count(*) FROM prepay.ledger_entry),
		(SELECT count(*) FROM prepay.notification))")"
	reviews=$(value 'SELECT count(*) FROM prepay.reading_review')
	[ "$reviews" = 0 ] || fail "$reviews readings are suspect: SELECT * FROM prepay.reading_review"
	broken=$(value 'SELECT count(*) FROM prepay.verify()')
	note "verify(): $broken broken invariants"
	[ "$broken" = 0 ] || fail 'the books are broken: SELECT * FROM prepay.verify()'
}

farewell()
{
	heading "It keeps running. Look around; \"make demo-stop\" removes it"
	note "psql '$conninfo'"
	note "read-only, for any tool:"
	note "psql 'host=127.0.0.1 port=$server_port dbname=town user=viewer password=$viewer_password'"
	note "agent:     http://127.0.0.1:$metrics_port/metrics   log: $demo/log/prepayd.log"
	note "simulator: test/sim/simctl 127.0.0.1:$control_port get M-A-101"
}

main()
{
	case ${1:-run} in
		run) ;;
		stop)
			is_ours || { say "demo: nothing to stop in $demo"; exit 0; }
			remove_everything
			say "demo: stopped, $demo removed"
			exit 0
			;;
		*) fail "usage: demo.sh [stop]" ;;
	esac
	trap on_exit EXIT
	trap 'exit 130' INT TERM
	sh "$root/test/deps.sh" demo
	if is_ours
	then
		say 'stopping the demo that is there'
		remove_everything
	fi
	find_server
	make_folder
	set_up
	start_field
	switch_building
	cut_and_sale
	lose_gateway
	run_to_the_end
	slow_down
	report
	farewell
}

main "$@"

#!/bin/sh
# make bench: figures beside their baselines, in one run, on a throw-away cluster. They are for ratios on one
# machine, not for records: samples of the sides alternate, medians are taken, and CPU time stands beside
# wall time, because a machine is seldom idle.
#
#   BENCH="batch trigger row proof verify sell xlsx rehearsal"  what to measure     BENCH_TOWNS="10000:flat 10000:rich 100000:flat"
#   BENCH_SAMPLES=7            of each side                   BENCH_BATCHES=96   batches of 1 000 in a sample
#   BENCH_SECONDS=8            of each run of one-row INSERTs BENCH_METERS=1000  whose month is back-tested, verified
#   BENCH_HOUSEHOLDS=100000    of the town of the sales
#
# batch: rated readings in batches of 1 000 beside plain SQL that writes the same without rating. trigger: the
# same logic as PL/pgSQL row triggers, in towns of the first one's size. row: one-row INSERTs of 8 clients, with
# fsync and synchronous_commit on, then off as an agent that keeps a spool may have it, in the first town.
# proof: backtest() and explain() of a month. sell: sales, beside pgledger when PGLEDGER_SQL names its
# SQL, then reports and verify() over them. xlsx: a workbook beside CSV.
# rehearsal: supply_rehearsal() over BENCH_SITE=1000000 accounts.
set -eu
cd "$(dirname "$0")/../.."
what=${BENCH:-batch trigger row proof verify sell xlsx rehearsal}
towns=${BENCH_TOWNS:-10000:flat 10000:rich 100000:flat}
samples=${BENCH_SAMPLES:-7}
batches=${BENCH_BATCHES:-96}
seconds=${BENCH_SECONDS:-8}

sh test/deps.sh check
make -s >/dev/null

# ---- a cluster on a copy of PostgreSQL with this extension ----

bin=$(pg_config --bindir) share=$(pg_config --sharedir) lib=$(pg_config --pkglibdir)
dir=$(mktemp -d "${TMPDIR:-/tmp}/prepay-bench.XXXXXX")
chmod 755 "$dir"
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
	as() { runuser -u postgres -- "$@"; }
fi
trap 'as pg_ctl -D "$dir/run/data" -m immediate stop >/dev/null 2>&1; rm -rf "$dir"' EXIT INT TERM
mkdir -p "$dir/pg$bin" "$dir/pg$share" "$dir/pg$lib" "$dir/run"
cp "$bin"/* "$dir/pg$bin/"
cp -Rs "$share/." "$dir/pg$share/"
cp -Rs "$lib/." "$dir/pg$lib/"
rm -f "$dir/pg$lib/pg_prepay.so" "$dir/pg$share"/extension/pg_prepay*
make -s install DESTDIR="$dir/pg" >/dev/null
PATH=$dir/pg$bin:$PATH
[ "$(id -u)" != 0 ] || chown postgres "$dir/run"
as initdb -D "$dir/run/data" -A trust -U postgres --no-locale -E UTF8 >/dev/null
cat >>"$dir/run/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir/run'
shared_buffers = 2GB
max_wal_size = 8GB
checkpoint_timeout = 30min
CONF
as pg_ctl -D "$dir/run/data" -w -l "$dir/run/log" start >/dev/null
export PGHOST="$dir/run" PGUSER=postgres PGDATABASE=postgres
quiet() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }
quiet -c 'CREATE TABLE sample (accounts int, tariff text, side text, n numeric, wall numeric, cpu numeric)'

# ---- towns ----

wants() { case " $what " in *" $1 "*) ;; *) return 1 ;; esac; }
wants batch || wants trigger || wants row || towns=
call() { quiet -d "$1" -c "SET prepay.now = '2026-03-01 00:00+08'" -c "$2"; }
first=${towns%% *}
sides() # town: what is measured there; row triggers in towns of the first one's size
{
	echo rated
	if wants batch || [ "$1" = "$first" ]; then echo plain; fi
	if wants trigger && [ "${1%:*}" = "${first%:*}" ]; then echo trigger; fi
}

for town in $towns; do
	accounts=${town%:*} tariff=${town#*:}
	echo "a town of $accounts households, tariff $tariff"
	createdb "$town"
	for file in town plain trigger measure; do
		quiet -d "$town" -v accounts="$accounts" -v tariff="$tariff" -f test/bench/$file.sql >/dev/null
	done
	call "$town" 'VACUUM ANALYZE'
	for side in $(sides "$town"); do
		call "$town" "CALL bench.begin('$side', $accounts)"
	done
	call "$town" 'VACUUM ANALYZE'
done
quiet -c CHECKPOINT

# ---- batches ----

keep() { quiet -c "INSERT INTO sample VALUES (${1%:*}, '${1#*:}', '$2', $3)"; }
sample() # n
{
	for town in $towns; do
		for side in $(sides "$town"); do
			count=$batches
			[ "$side" != trigger ] || count=$((batches / 2))
			keep "$town" "$side" "$(call "$town" "CALL bench.sample('', '$side', ${town%:*}, $count)")"
		done
	done
}

if wants batch || wants trigger; then
	echo "$samples samples of $batches batches of 1 000 readings"
	for i in $(seq "$samples"); do
		sample
	done
fi

# ---- single rows: four runs of six hours of business time each, so that together a day ends ----

postmaster=$(head -n 1 "$dir/run/data/postmaster.pid")
ended_cpu() { sed 's/.*) //' "/proc/$postmaster/stat" | awk '{ print ($14 + $15) / 100 }'; } # of backends that are gone
hour=0
run_rows() # side script seconds options
{
	clock="$(quiet -d "$first" -c "SELECT '2026-01-10 00:00+08'::timestamptz + $hour * interval '1 hour'")"
	clock=$(echo "$clock@$(quiet -c 'SELECT now()')*$((21600 / $3))" | sed 's/ /\\ /g')
	before=$(ended_cpu)
	PGOPTIONS="-c prepay.now=$clock $4" pgbench -n -M prepared -c 8 -j 2 -T "$3" -D accounts="${first%:*}" \
		-f "test/bench/$2.pgbench" "$first" >"$dir/pgbench" 2>&1 || { cat "$dir/pgbench"; exit 1; }
	sleep 1
	count=$(awk '/transactions actually processed/ { print $6 }' "$dir/pgbench")
	[ -z "$1" ] || keep "$first" "$1" "$count, $count / $(awk '/^tps/ { print $3 }' "$dir/pgbench"), $(ended_cpu) - $before"
}

if wants row; then
	echo "one-row INSERTs of 8 clients, 4 runs of $seconds s each"
	run_rows '' row_rated 3 '' # meters that were not read for a day
	hour=$((hour + 6))
	for i in 1 2 3 4; do
		run_rows 'row' row_rated "$seconds" ''
		run_rows 'row plain' row_plain "$seconds" ''
		hour=$((hour + 6))
	done
	for i in 1 2 3 4; do
		run_rows 'row async' row_rated "$seconds" '-c synchronous_commit=off'
		run_rows 'row plain async' row_plain "$seconds" '-c synchronous_commit=off'
		hour=$((hour + 6))
	done
fi

if wants proof; then
	createdb proof
	quiet -d proof -v meters="${BENCH_METERS:-1000}" -f test/bench/proof.sql
fi

if wants verify; then
	createdb verify
	quiet -d verify -v meters="${BENCH_METERS:-1000}" -f test/bench/verify.sql
fi

if wants books; then
	createdb books
	quiet -d books -v accounts="${BENCH_ACCOUNTS:-1000000}" -v entries="${BENCH_ENTRIES:-10000000}" -f test/bench/books.sql
fi

if wants xlsx; then
	createdb xlsx
	quiet -d xlsx -c 'CREATE EXTENSION pg_prepay'
	psql -Xq -d xlsx -f test/bench/xlsx.sql
fi

if wants sell; then
	. test/bench/sell.sh
fi
if wants rehearsal; then
	createdb rehearsal
	quiet -d rehearsal -v accounts="${BENCH_SITE:-1000000}" -f test/bench/rehearsal.sql | grep .
fi
[ -z "$towns" ] || quiet -f test/bench/report.sql
for town in $towns; do
	quiet -d "$town" -c "SELECT 'broken invariants of 1 account in ' || current_database() || ': ' || count(*) FROM prepay.verify(NULL, 'A7')"
done

#!/bin/sh
# make bench [BENCH_ACCOUNTS=100000] [BENCH_ROUNDS=4]: figures beside their baselines, in one run, on a
# throw-away cluster with fsync on. Figures are for ratios on one machine, not for records.
set -eu
cd "$(dirname "$0")/../.."
sh test/deps.sh check
make -s >/dev/null
if [ "$(id -u)" = 0 ]; then make -s install >/dev/null; fi

bin=$(pg_config --bindir)
dir=$(mktemp -d /tmp/prepay-bench.XXXXXX)
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
	chown postgres "$dir"
	as() { runuser -u postgres -- "$@"; }
fi
trap 'as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1; rm -rf "$dir"' EXIT INT TERM
as "$bin/initdb" -D "$dir/data" -A trust -U postgres >/dev/null
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
shared_buffers = 2GB
max_wal_size = 8GB
checkpoint_timeout = 30min
CONF
as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" start >/dev/null
export PGHOST="$dir" PGUSER=postgres
for tariff in flat rich; do
	createdb "bench_$tariff"
	psql -Xq -d "bench_$tariff" -v accounts="${BENCH_ACCOUNTS:-100000}" -v rounds="${BENCH_ROUNDS:-4}" \
		-v tariff="$tariff" -f test/bench/rating.sql
done

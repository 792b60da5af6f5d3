#!/bin/sh
# sh test/bench/agent.sh: the agent's figures beside those of pymodbus, jsmodbus and modbus-serial, in
# one run on one simulator; then the whole agent under load with a throw-away server. SECONDS_EACH=5.
# The npm packages are fetched into the work folder where npm is there; without it their rows are left out.
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd)
sh test/deps.sh check
make -s >/dev/null
make -s -C agent
make -s -C test/sim
if [ "$(id -u)" = 0 ] && [ -z "${PGHOST:-}" ]; then make -s install >/dev/null; fi
each=${SECONDS_EACH:-5}
dir=$(mktemp -d "${TMPDIR:-/tmp}/prepay-bench-agent.XXXXXX")
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then
	chown postgres "$dir"
	as() { runuser -u postgres -- "$@"; }
fi
sim=
server=
stop()
{
	[ -z "$sim" ] || kill "$sim" 2>/dev/null || true
	[ -z "$server" ] || as "$server/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
	rm -rf "$dir"
}
trap stop EXIT INT TERM
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"

for program in agent_bus agent_fill
do
	# shellcheck disable=SC2046
	cc -std=c11 -O2 -D_GNU_SOURCE -Iagent $(pkg-config --cflags libevent libmodbus openssl jansson) \
		-o "$dir/$program" test/bench/$program.c \
		$(find agent/build -maxdepth 1 -name '*.o' ! -name 'main.o' ! -name 'test_*') \
		$(pkg-config --libs libevent libevent_openssl openssl libmodbus libpq sqlite3 jansson) -lm -pthread
done
{
	echo 'control 127.0.0.1:21999'
	seq 0 999 | awk '{ print "gateway G" $1 " 127.0.0.1:" 22000 + $1 }'
	seq 0 999 | awk '{ print "meter M" $1 " G" $1 " 1 acrel-ddsy1352 kw=1" }'
} >"$dir/town.sim"
test/sim/prepay-sim --config "$dir/town.sim" >/dev/null 2>&1 &
sim=$!
sleep 2

row() # name, then a command that prints requests/s, us of CPU, MiB, failed
{
	name=$1
	shift
	figures=$("$@" 2>/dev/null) || figures='0 0 0 0'
	[ "$name" != "$first" ] || base=$figures
	echo "$figures $base" | awk -v name="$name" '{ printf "  %-28s %9d/s %7.1f us CPU %7.1f MiB  CPU x %.1f\n", name, $1, $2, $3, $6 ? $2 / $6 : 0 }'
}

for connections in 100 1000
do
	echo "48 registers over $connections connections, one request in flight unless said"
	uptime
	first='prepayd bus'
	row "$first" "$dir/agent_bus" $connections "$each" 48 1 22000
	row 'prepayd bus, window 4' "$dir/agent_bus" $connections "$each" 48 4 22000
	row pymodbus /usr/bin/python3 test/bench/agent_pymodbus.py $connections "$each" 48 22000
	if command -v npm >/dev/null && { [ -d "$dir/node_modules" ] ||
		(cd "$dir" && npm install --silent --no-audit --no-fund modbus-serial@8.0.25 jsmodbus@5.0.0) >/dev/null 2>&1; }
	then
		cp test/bench/agent_node.js "$dir/"
		row modbus-serial node "$dir/agent_node.js" modbus-serial $connections "$each" 48 22000
		row jsmodbus node "$dir/agent_node.js" jsmodbus $connections "$each" 48 22000
	fi
done
kill "$sim"
sim=

if [ -z "${PGHOST:-}" ]; then
	bin=$(pg_config --bindir)
	as "$bin/initdb" -D "$dir/data" -A trust -U postgres >/dev/null
	printf "listen_addresses = ''\nunix_socket_directories = '%s'\nshared_buffers = 1GB\nmax_wal_size = 8GB\n" \
		"$dir" >>"$dir/data/postgresql.conf"
	as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" start >/dev/null
	server=$bin
	export PGHOST="$dir" PGUSER=postgres
fi
bench() { /usr/bin/python3 "$root/test/bench/agent.py" --seconds $((4 * each)) "$@"; }
uptime
echo 'reach: < 5 % of a core, < 64 MiB'
bench
bench --window 5
echo 'reach: p99 lateness of the healthy <= 1 s'
bench --dead 10
echo 'reach: command issued to verified p99 < 50 ms; sale to relay closed p99 < 200 ms'
/usr/bin/python3 "$root/test/bench/agent_command.py" --seconds 40 --orders 200 --sales 200
echo 'reach: replay of a spool > 50 000 readings/s'
/usr/bin/python3 "$root/test/bench/agent_replay.py" --fill "$dir/agent_fill"

#!/bin/sh
# All tests; what `make check` runs.
#
#   sh test/check.sh                    everything
#   sh test/check.sh regress tap        some parts: unit agent sim regress isolation tap
#   TAP='002 010' sh test/check.sh tap  some TAP scripts, by number
#
# Nothing on the machine is changed except missing packages (test/deps.sh) and the build itself:
# the server part runs in a copy of the PostgreSQL installation, in a work folder, with the extension
# as it is here put into it. As root the servers run as user postgres, who need not be able to read
# this folder. The work folder is removed when all is well and kept for reading when not.
set -u
cd "$(dirname "$0")/.." || exit 1

parts=${*:-unit agent sim regress isolation tap}
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
passed=0
failed=0
server_up=no
summed_up=

say()
{
	printf '== %s\n' "$*"
}

give_up()
{
	say "cannot go on: $*"
	exit 1
}

# ---- as whom, and where ----

as_user() # command...: PostgreSQL refuses to run as root
{
	if [ "$(id -u)" = 0 ]
	then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

make_work()
{
	work=$(mktemp -d "${TMPDIR:-/tmp}/prepay-check.XXXXXX") || exit 1
	chmod 755 "$work"
	mkdir "$work/log" "$work/run" || exit 1
	[ "$(id -u)" != 0 ] || chown postgres "$work/run"
}

clean_up()
{
	status=$?
	trap - EXIT INT TERM
	stop_server
	if [ "$status" = 0 ]
	then
		rm -rf "$work"
	elif [ -z "$summed_up" ]
	then
		say "logs: $work"
	fi
	exit "$status"
}

# ---- running and counting ----

# Runs a part with its output shown and kept; the shell of a pipe cannot hand its status on.
run() # name filter command...
{
	name=$1
	filter=$2
	shift 2
	{
		"$@"
		echo $? >"$work/log/$name.status"
	} 2>&1 </dev/null | tee "$work/log/$name" | $filter
	status=$(cat "$work/log/$name.status")
}

# Adds a part up; one that failed without a failed test counts as one.
count() # passed failed
{
	passed=$((passed + $1))
	failed=$((failed + $2))
	if [ "$status" != 0 ] && [ "$2" = 0 ]
	then
		failed=$((failed + 1))
	fi
}

sum() # log awk-program: prints one number
{
	awk "$2 END { print n + 0 }" "$work/log/$1"
}

without_passes()
{
	grep -v '^\[ RUN  \|^\[       OK \|^\[====' || true
}

count_cmocka() # log: and other programs that end in one line of their own
{
	count "$(sum "$1" '/^\[  PASSED  \] [0-9]+ test/ { n += $4 } /^oracle: .* agree/ { n++ }
			/^[0-9]+ profiles, / { n += $1 - $3 } /^profiles\/.*: ok/ { n++ }')" \
		"$(sum "$1" '/^\[  FAILED  \] [0-9]+ test/ { n += $4 } /^[0-9]+ profiles, / { n += $3 }')"
}

part_unit()
{
	say 'unit tests of the rating core, and its comparison with an independent oracle'
	run unit without_passes make -s -C test/unit -j "$jobs" check
	count_cmocka unit
}

part_agent()
{
	say 'unit tests of the agent'
	run agent without_passes make -s -C agent check
	count_cmocka agent
}

part_sim()
{
	say 'the simulator, seen by mbpoll and pymodbus'
	run sim cat make -s -C test/sim check
	bad=$(sum sim '/^FAILED \(/ { gsub(/[^0-9]+/, " "); for (i = 1; i <= NF; i++) n += $i }')
	count "$(($(sum sim '/^Ran [0-9]+ tests/ { n += $2 }') - bad))" "$bad"
}

# ---- a copy of PostgreSQL with this extension ----

# Server programs find their folders relative to themselves, so they are copied; the rest is linked.
make_instance()
{
	[ -z "${instance:-}" ] || return 0
	instance=$work/pg
	bin=$(pg_config --bindir)
	share=$(pg_config --sharedir)
	lib=$(pg_config --pkglibdir)
	mkdir -p "$instance$bin" "$instance$share" "$instance$lib"
	cp "$bin"/* "$instance$bin/"
	cp -Rs "$share/." "$instance$share/"
	cp -Rs "$lib/." "$instance$lib/"
	rm -f "$instance$lib/pg_prepay.so" "$instance$share"/extension/pg_prepay*
	make -s install DESTDIR="$instance" || give_up 'the extension cannot be installed into the copy'
	pg_regress=$lib/pgxs/src/test/regress/pg_regress
	isolation_regress=$lib/pgxs/src/test/isolation/pg_isolation_regress
	PATH=$instance$bin:$PATH
	mkdir "$work/test" "$work/agent" "$work/sql" || exit 1
	cp -R test/sql test/expected test/specs test/t "$work/test/"
	mkdir "$work/test/sim" "$work/test/unit"
	cp -R test/unit/data "$work/test/unit/"
	cp test/sim/prepay-sim test/sim/simctl "$work/test/sim/"
	cp agent/prepayd "$work/agent/"
	cp -R agent/profiles "$work/agent/prepayd.profiles"
	cp -R sql/gammu.sql sql/grafana sql/web "$work/sql/"
	cp -R test/bi test/web "$work/test/"
	chmod -R a+rX "$work/test" "$work/agent" "$work/sql"
}

start_server()
{
	[ "$server_up" = no ] || return 0
	PGHOST=$work/run
	PGPORT=5432
	PGUSER=postgres
	export PGHOST PGPORT PGUSER
	as_user initdb -D "$work/run/data" -U postgres -A trust -N -E UTF8 --no-locale \
		>"$work/log/initdb" 2>&1 || give_up "initdb: $(tail -n 3 "$work/log/initdb")"
	cat >>"$work/run/data/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$work/run'
		fsync = off
		max_connections = 40
		log_line_prefix = '%m [%p] %q%a '
	CONF
	as_user pg_ctl -D "$work/run/data" -l "$work/run/server.log" -w start \
		>"$work/log/start" 2>&1 || give_up "the server does not start: $work/run/server.log"
	server_up=yes
}

stop_server()
{
	[ "$server_up" = yes ] || return 0
	as_user pg_ctl -D "$work/run/data" -m fast -w stop >/dev/null 2>&1
	server_up=no
}

names() # folder suffix
{
	for file in "test/$1"/*"$2"
	do
		basename "$file" "$2"
	done
}

count_regress() # name
{
	count "$(sum "$1" '/^test .* \.\.\. ok / { n++ }')" \
		"$(sum "$1" '/^test .* \.\.\. FAILED/ { n++ }')"
	[ "$status" = 0 ] || head -n 200 "$work/run/$1/regression.diffs"
}

part_regress()
{
	say 'the extension in the server: pg_regress'
	start_server
	as_user mkdir "$work/run/regress"
	run regress cat as_user "$pg_regress" --bindir="$instance$bin" --inputdir="$work/test" \
		--outputdir="$work/run/regress" --dbname=contrib_regression $(names sql .sql)
	count_regress regress
}

part_isolation()
{
	say 'sessions that meet: pg_isolation_regress'
	start_server
	as_user mkdir "$work/run/isolation"
	run isolation cat as_user "$isolation_regress" --bindir="$instance$bin" --inputdir="$work/test" \
		--outputdir="$work/run/isolation" --dbname=isolation_regression $(names specs .spec)
	count_regress isolation
}

tap_scripts()
{
	for number in ${TAP:-''}
	do
		ls "$work/test/t/$number"*.pl
	done
}

part_tap()
{
	say 'whole systems: crash, dump, storm, agent and simulator'
	stop_server
	run tap cat as_user env PG_REGRESS="$pg_regress" TMPDIR="$work/run" HOME="$work/run" \
		PREPAYD="$work/agent/prepayd" PREPAY_SIM="$work/test/sim/prepay-sim" \
		sh -c 'cd "$TMPDIR" && exec prove --timer -I "$@"' sh \
		"$lib/pgxs/src/test/perl" -I "$work/test/t" $(tap_scripts)
	bad=$(sum tap '/Failed [0-9]+\/[0-9]+ subtests/ { split($0, word, "Failed "); n += word[2] }')
	count "$(($(sum tap '/^Files=[0-9]+, Tests=/ { split($2, word, "="); n += word[2] }') - bad))" \
		"$bad"
}

# ---- all of it ----

for part in $parts
do
	case $part in
		unit | agent | sim | regress | isolation | tap) ;;
		*) give_up "there is no part \"$part\"" ;;
	esac
done

sh test/deps.sh check || exit 1
make_work
trap clean_up EXIT
trap 'exit 130' INT TERM

say 'building'
for target in '' '-C agent' '-C test/sim'
do
	# shellcheck disable=SC2086
	make -s -j "$jobs" $target >"$work/log/build" 2>&1 ||
		{ cat "$work/log/build"; give_up "the build failed: make $target"; }
done

for part in $parts
do
	case $part in
		regress | isolation | tap) make_instance ;;
	esac
	"part_$part"
done

summed_up=yes
[ "$failed" = 0 ] || say "logs: $work"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]

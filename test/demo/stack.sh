# stack.sh: build, and a throw-away cluster, simulator and agent under $demo. Sourced by demo.sh.
#
# Every program runs with $demo in its command line and its process id in $demo/NAME.pid: that is how
# a later `demo.sh stop` knows what is its own. When called as root the programs run as user postgres,
# because PostgreSQL refuses root. People reach the server through its socket, as themselves.

pg_config=${PG_CONFIG:-pg_config}
marker=.prepay-demo

# ---- build and install ----

build_step() # what command...
{
	local what=$1
	local begun=$SECONDS

	shift
	"$@" >>"$demo/log/build.log" 2>&1 </dev/null ||
		{ tail -n 15 "$demo/log/build.log" >&2; fail "building failed: $what"; }
	note "$what: $((SECONDS - begun)) s"
}

is_installed()
{
	local control=$root/extension/pg_prepay.control
	local library share script

	library=$("$pg_config" --pkglibdir)
	share=$("$pg_config" --sharedir)/extension
	script=$(sed -n "s/^default_version = '\(.*\)'/pg_prepay--\1.sql/p" "$control")
	cmp -s "$root/pg_prepay.so" "$library/pg_prepay.so" &&
		cmp -s "$control" "$share/pg_prepay.control" &&
		cmp -s "$root/sql/$script" "$share/$script"
}

build()
{
	build_step 'extension' make -C "$root" -s -j"$(nproc)" PG_CONFIG="$pg_config"
	build_step 'agent prepayd' make -C "$root/agent" -s -j"$(nproc)"
	build_step 'simulator prepay-sim' make -C "$root/test/sim" -s -j"$(nproc)"
	if is_installed
	then
		note "PostgreSQL has this extension already"
	elif [ "$(id -u)" = 0 ]
	then
		build_step "installed into PostgreSQL $server_version" \
			make -C "$root" -s install PG_CONFIG="$pg_config"
	else
		fail "the extension must be installed once as root:  sudo make -C '$root' install"
	fi
	# The server's user may not be able to look into this repository.
	cp "$root/agent/prepayd" "$root/test/sim/prepay-sim" "$demo/bin/"
}

# ---- the folder ----

find_server()
{
	command -v "$pg_config" >/dev/null || fail "there is no $pg_config"
	server_bin=$("$pg_config" --bindir)
	server_version=$("$pg_config" --version | awk '{ print $2 }')
	[ -x "$server_bin/initdb" ] || fail "there is no PostgreSQL server in $server_bin"
	as_server=()
	server_user=$(id -un)
	if [ "$(id -u)" = 0 ]
	then
		server_user=postgres
		id "$server_user" >/dev/null 2>&1 || fail "there is no user $server_user"
		as_server=(setpriv "--reuid=$server_user" "--regid=$server_user" --init-groups)
	fi
}

make_folder()
{
	[[ $demo != *[^A-Za-z0-9/._-]* ]] || fail "the path $demo needs quotes: set PREPAY_DEMO_DIR"
	# A socket's path has 107 bytes.
	[ ${#demo} -le 80 ] || fail "the path $demo is too long for a socket: set PREPAY_DEMO_DIR"
	mkdir -m 755 "$demo" || fail "cannot make $demo: set PREPAY_DEMO_DIR to another folder"
	: >"$demo/$marker"
	mkdir "$demo/bin" "$demo/log"
	mkdir -m 700 "$demo/pg" "$demo/agent" "$demo/sim"
	mkdir "$demo/run"
	chown "$server_user" "$demo/pg" "$demo/run" "$demo/agent" "$demo/sim"
}

is_ours()
{
	[ -d "$demo" ] && [ ! -L "$demo" ] && [ -O "$demo" ] && [ -f "$demo/$marker" ]
}

free_port() # from: the first port from there on where nobody listens
{
	local port=$1

	while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
	do
		port=$((port + 1))
	done
	echo "$port"
}

# ---- programs ----

launch() # name program argument...
{
	local name=$1

	shift
	# A session of its own: it outlives this script and its terminal.
	setsid "${as_server[@]}" "$@" >>"$demo/log/$name.log" 2>&1 </dev/null &
	echo $! >"$demo/$name.pid"
	disown
}

process_of() # name: its process id, if it runs
{
	local pid

	pid=$(cat "$demo/$1.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
	# Numbers of processes are used again: only one with our folder in its command line is ours.
	{ tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$demo/"; } 2>/dev/null || return 1
	echo "$pid"
}

halt() # name gentle-signal hard-signal: ask it to stop, insist after ten seconds
{
	local pid tries

	pid=$(process_of "$1") || return 0
	kill "-$2" "$pid" 2>/dev/null || return 0
	for ((tries = 0; tries < 150; tries++))
	do
		process_of "$1" >/dev/null || break
		[ "$tries" != 100 ] || kill "-$3" "$pid" 2>/dev/null || true
		sleep 0.1
	done
	rm -f "$demo/$1.pid"
}

stop_agent()
{
	halt prepayd TERM KILL
}

stop_simulator()
{
	halt simulator TERM KILL
}

start_cluster()
{
	local user

	server_port=$(free_port 5440)
	"${as_server[@]}" "$server_bin/initdb" -D "$demo/pg" -U postgres -E UTF8 --locale=C.UTF-8 \
		-A peer --no-sync >"$demo/log/initdb.log" 2>&1 || fail "initdb failed"
	cat >>"$demo/pg/postgresql.conf" <<-CONF
		port = $server_port
		listen_addresses = '127.0.0.1'
		unix_socket_directories = '$demo/run'
		cluster_name = 'prepay-demo'
		log_line_prefix = '%m [%p] %q%u@%d '
	CONF
	cat >"$demo/pg/pg_hba.conf" <<-CONF
		local all all peer map=demo
		host all all 127.0.0.1/32 scram-sha-256
	CONF
	for user in $(printf '%s\n' "$server_user" "$(id -un)" | sort -u)
	do
		echo "demo $user postgres"
		echo "demo $user prepayd"
	done >>"$demo/pg/pg_ident.conf"
	launch postgresql "$server_bin/postgres" -D "$demo/pg/"
	conninfo="host=$demo/run port=$server_port dbname=town user=postgres"
	await_ready 'PostgreSQL' "$server_bin/pg_isready" -q -h "$demo/run" -p "$server_port" -U postgres
}

await_ready() # what command...: until the command succeeds, at most 30 s
{
	local what=$1
	local tries

	shift
	for ((tries = 0; tries < 300; tries++))
	do
		if "$@" >/dev/null 2>&1
		then
			return
		fi
		sleep 0.1
	done
	fail "$what does not start"
}

find_field_ports()
{
	gateway1_port=$(free_port 15020)
	gateway2_port=$(free_port $((gateway1_port + 1)))
	control_port=$(free_port $((gateway2_port + 1)))
	metrics_port=$(free_port $((control_port + 1)))
}

with_ports() # file
{
	sed -e "s/G1_ADDRESS/127.0.0.1:$gateway1_port/" -e "s/G2_ADDRESS/127.0.0.1:$gateway2_port/" \
		-e "s/CONTROL_ADDRESS/127.0.0.1:$control_port/" "$1"
}

start_simulator() # clock
{
	rm -f "$demo/log/simulator.log"
	with_ports "$here/town.sim" >"$demo/town.sim"
	launch simulator "$demo/bin/prepay-sim" --config "$demo/town.sim" --clock "$1" --seed 7 \
		--state "$demo/sim/state"
	await_ready 'the simulator' grep '^ready' "$demo/log/simulator.log"
}

start_agent()
{
	cat >"$demo/prepayd.conf" <<-CONF
		[agent]
		name = town/gate
		conninfo = host=$demo/run port=$server_port dbname=town user=prepayd
		spool = $demo/agent
		metrics = 127.0.0.1:$metrics_port
		log_level = info
	CONF
	launch prepayd "$demo/bin/prepayd" --config "$demo/prepayd.conf"
}

ask_simulator() # command...: the answers, one a line, without their "ok"
{
	local command
	local answer

	exec 3<>"/dev/tcp/127.0.0.1/$control_port"
	for command
	do
		answer=''
		echo "$command" >&3
		IFS= read -r -t 10 answer <&3 || true
		[[ $answer == ok* ]] || fail "the simulator answers \"$answer\" to \"$command\""
		answer=${answer#ok}
		echo "${answer# }"
	done
	exec 3>&-
}

# ---- stop ----

remove_everything()
{
	stop_agent
	stop_simulator
	# INT: do not wait for clients.
	halt postgresql INT QUIT
	rm -rf "$demo"
}

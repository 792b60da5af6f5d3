# watch.sh: what the town does, printed as it happens. Sourced by demo.sh.
#
# Nothing here is written from memory: each line is a row that the database has by then, or an answer
# of the simulator.

declare -A printed=()
since=''

say()
{
	printf '%s\n' "$*"
}

note()
{
	say "  $*"
}

sql() # psql argument...: plain text
{
	psql -XqAt -v ON_ERROR_STOP=1 -d "$conninfo" "$@"
}

value() # query [name=value...]: its only value; :'name' stands for a value
{
	local query=$1
	local setting
	local settings=()

	shift
	for setting
	do
		settings+=(-v "$setting")
	done
	sql "${settings[@]}" -f - <<<"$query"
}

table() # query: as people see it in psql
{
	psql -XqP pager=off -P footer=off -P null=- -v ON_ERROR_STOP=1 -d "$conninfo" -c "$1" |
		sed -e '/^$/d' -e 's/^/  /'
}

check_processes()
{
	local name

	for name in postgresql simulator prepayd
	do
		process_of "$name" >/dev/null || fail "$name has stopped"
	done
}

look() # print what has happened since the last look
{
	local events key text

	check_processes
	events=$(sql -F $'\t' -v since="$since" -f "$here/events.sql")
	while IFS=$'\t' read -r key text
	do
		if [ -n "$key" ] && [ -z "${printed[$key]:-}" ]
		then
			printed[$key]=1
			say "$text"
		fi
	done <<<"$events"
}

watch_for() # seconds
{
	local end=$((SECONDS + $1))

	while [ "$SECONDS" -lt "$end" ]
	do
		look
		sleep 0.7
	done
}

await() # seconds what query [name=value...]: until the query gives t
{
	local end=$((SECONDS + $1))
	local what=$2

	shift 2
	while :
	do
		look
		[ "$(value "$@")" != t ] || break
		[ "$SECONDS" -lt "$end" ] || fail "not in time: $what"
		sleep 0.5
	done
	look
}

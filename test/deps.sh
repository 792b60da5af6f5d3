#!/bin/sh
# Debian packages that this repository needs: installs the missing ones (root), or names them.
#
#   sh test/deps.sh            everything: build, demo, tests
#   sh test/deps.sh demo       what `make demo` needs
#   sh test/deps.sh check      what `make check` and `make bench` need
#
# Silent with status 0 when nothing is missing. LLVM comes with postgresql-server-dev, fuzzing with
# libFuzzer (test/fuzz) needs clang besides and is not part of `make check`.
set -eu

BUILD='gcc libc6-dev make pkg-config perl postgresql-15 postgresql-client-15
	postgresql-server-dev-15 libpq-dev libevent-dev libmodbus-dev libssl-dev libsqlite3-dev
	libjansson-dev libxlsxwriter-dev'
DEMO=''
CHECK='libcmocka-dev libipc-run-perl mbpoll openssl python3 python3-pymodbus
	python3-serial-asyncio gammu-smsd socat weasyprint poppler-utils fonts-wqy-microhei libreoffice-calc-nogui python3-openpyxl
	libreoffice-base-nogui libreoffice-sdbc-postgresql python3-uno odbc-postgresql python3-pyodbc
	libpostgresql-jdbc-java openjdk-17-jdk-headless chromium chromium-driver python3-selenium python3-psycopg2'

CREATE_CLUSTER=/etc/postgresql-common/createcluster.conf

wanted()
{
	[ $# -gt 0 ] || set -- demo check
	echo "$BUILD"
	for group
	do
		case $group in
			demo) echo "$DEMO" ;;
			check | bench) echo "$CHECK" ;;
			*)
				echo "usage: sh test/deps.sh [demo] [check]" >&2
				exit 2
				;;
		esac
	done
}

is_installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing()
{
	for package
	do
		is_installed "$package" || printf ' %s' "$package"
	done
}

quietly() # command...: its output is shown only when it fails
{
	"$@" >"$log" 2>&1 </dev/null || {
		cat "$log" >&2
		echo "deps.sh: failed: $*" >&2
		return 1
	}
}

install_packages()
{
	DEBIAN_FRONTEND=noninteractive quietly apt-get install -y --no-install-recommends \
		-o Dpkg::Use-Pty=0 "$@"
}

# Debian makes and starts a cluster with the server package. Nothing here uses it, so a machine that
# has none does not get one; the administrator's setting is as before afterwards.
install_server()
{
	install_packages postgresql-common
	cp -p "$CREATE_CLUSTER" "$CREATE_CLUSTER.deps"
	trap 'mv -f "$CREATE_CLUSTER.deps" "$CREATE_CLUSTER"; rm -f "$log"' EXIT
	echo 'create_main_cluster = false' >>"$CREATE_CLUSTER"
	install_packages "$@"
}

packages=$(wanted "$@")
# shellcheck disable=SC2086
needed=$(missing $packages)
[ -n "$needed" ] || exit 0

if ! command -v apt-get >/dev/null
then
	echo "This is no Debian. Needed are the counterparts of these Debian packages:" >&2
	echo " $needed" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]
then
	echo "Packages are missing. Install them as root, then run the command again:" >&2
	echo "    apt-get install --no-install-recommends$needed" >&2
	exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "installing$needed (a minute or two)"
quietly apt-get update
install=install_packages
case " $needed " in *' postgresql-15 '*) install=install_server ;; esac
# shellcheck disable=SC2086
$install $needed

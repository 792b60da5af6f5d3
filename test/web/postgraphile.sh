#!/bin/sh
# The API of tenants through PostGraphile 4 (npm), by hand: one log-in, the schema it shows, and one query as that tenant.
#
#   sh test/web/postgraphile.sh CONNECTION-URL SECRET ACCOUNT PASSWORD
#
# CONNECTION-URL: of a role that is a member of prepay_authenticator and prepay_tenant, such as
# "postgresql://web@localhost/prepay". SECRET: what set_tenant_secret() was given. Needs npm and its registry;
# works in a folder of its own, which is removed.
set -eu
[ $# = 4 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$here/postgraphile.js" "$folder/"
cd "$folder"
npm install --no-fund --no-audit --silent postgraphile@4
node postgraphile.js "$@"

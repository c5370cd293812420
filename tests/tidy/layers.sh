#!/bin/sh
# Include lines against the order of rooms and sub-rooms. Prints TAP.
cd "${KYMO_SRC:-.}" || exit 1
n=0
check() { # check TITLE OFFENDERS
	n=$((n + 1))
	if [ -z "$2" ]; then echo "ok $n - $1"
	else echo "not ok $n - $1"; printf '%s\n' "$2" | sed 's/^/# /'
	fi
}
includes() { # includes DIR REGEX: lines under DIR that include what REGEX says
	[ -d "$1" ] && grep -rnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include \"($2)" "$1"
}
check "core includes no other room" "$(includes core 'proto/|storage/|net/|tests/|bench/')"
check "proto includes core only" "$(includes proto 'storage/|net/|tests/|bench/')"
check "storage includes core only" "$(includes storage 'proto/|net/|tests/|bench/')"
check "net includes no tests or benches" "$(includes net 'tests/|bench/')"
check "core/base is lowest" "$(includes core/base 'core/(rt|model|seam|account|promql|rules|cluster)')"
check "core/rt sees base" "$(includes core/rt 'core/(model|seam|account|promql|rules|cluster)')"
check "core/model sees base and rt" "$(includes core/model 'core/(promql|rules|cluster)' ; includes core/model 'core/seam' | grep -v sink_reason)"
check "core/seam sees base, rt, model" "$(includes core/seam 'core/(promql|rules|cluster)')"
check "promql: lang is below plan, plan below run" "$(includes core/promql/lang 'core/promql/(plan|run)'; includes core/promql/plan 'core/promql/run')"
check "core/account sees base, rt, model" "$(includes core/account 'core/(seam|promql|rules|cluster)')"
check "chunk, meta and wal are lowest in storage" "$(for d in chunk meta wal; do includes storage/$d 'storage/(head|cfile|block|read|compact|cold|shard|store)'; done)"
check "cfile sees chunk only" "$(includes storage/cfile 'storage/(head|meta|wal|read|compact|cold|shard|store)')"
check "net/conn is below http and api" "$(includes net/conn 'net/(http|api|daemon)')"
check "net/http is below api and daemon" "$(includes net/http 'net/(api|daemon)')"
check "net/api is below daemon" "$(includes net/api 'net/daemon')"
check "no relative includes" "$(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include "\.' core proto storage net tests bench)"
echo "1..$n"

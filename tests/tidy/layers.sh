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
check "promql: lang is below plan, plan below run, run below cache" "$(includes core/promql/lang 'core/promql/(plan|run|cache)'; includes core/promql/plan 'core/promql/(run|cache)'; includes core/promql/run 'core/promql/cache')"
check "core/account sees base, rt, model" "$(includes core/account 'core/(seam|promql|rules|cluster)')"
# Inside storage each include line is checked: a file sees its own place and the floors below it, never a neighbour on its
# floor. A place is a folder; the files that lie flat are two: what everybody stands on, and the store, which knows all.
storage_floors='
1 chunk meta wal
2 head cfile block
3 compact
4 ground filedefs newest stopping removal shard share space cardgone asidebook
5 append read back
6 recover
7 store store_priv store_tenants storedelete tenantbook keeper figures stats marks cardnow cardhist cardview manifest storedir
'
storage_order() {
	find storage -name '*.[ch]' | sort | xargs grep -noE '^[[:space:]]*#[[:space:]]*include "storage/[^"]*' /dev/null | awk -v floors="$storage_floors" '
	function place(path,  n) { # its folder, or the line of floors that names a flat file
		n = split(path, part, "/")
		if (n > 2) return part[2]
		sub(/\.[ch]$/, "", part[2])
		return part[2] in flat ? flat[part[2]] : part[2]
	}
	BEGIN {
		lines = split(floors, line, "\n")
		for (i = 1; i <= lines; i++) {
			words = split(line[i], word, " ")
			for (k = 2; k <= words; k++) floor[word[k]] = word[1]
			if (word[1] == 4 || word[1] == 7) for (k = 3; k <= words; k++) flat[word[k]] = word[2]
		}
	}
	{
		file = $0; sub(/:.*/, "", file)
		to = $0; sub(/.*include "/, "", to)
		a = place(file); b = place(to)
		if (!(a in floor) || !(b in floor)) print file " includes " to ": no floor is known for " (a in floor ? b : a)
		else if (a != b && floor[b] >= floor[a]) print file " (" a ") includes " to " (" b ")"
	}'
}
check "storage: chunk, meta, wal < head, cfile, block < compact < shard < append, read, back < recover < store" "$(storage_order)"
check "net/conn is lowest in net" "$(includes net/conn 'net/(http|client|grpc|gate|api|recv|daemon)')"
check "net/http is below client, grpc, gate, api and daemon" "$(includes net/http 'net/(client|grpc|gate|ui|api|recv|daemon)')"
check "net/client stands on conn alone" "$(includes net/client 'net/(http|grpc|gate|api|recv|daemon)')"
check "net/grpc stands on conn, http, client" "$(includes net/grpc 'net/(gate|api|recv|daemon)')"
check "net/gate is below api and daemon" "$(includes net/gate 'net/(api|recv|daemon)')"
check "net/ui stands on conn and http" "$(includes net/ui 'net/(client|grpc|gate|api|recv|daemon|ctl)')"
check "net/api and net/recv are below daemon" "$(includes net/api 'net/daemon'; includes net/recv 'net/daemon')"
check "net/ctl is kymoctl's alone, which runs no server" "$(for d in conn http client grpc gate api recv daemon; do includes net/$d 'net/ctl'; done; includes net/ctl 'net/(http|grpc|gate|api|recv)')"
check "no relative includes" "$(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include "\.' core proto storage net tests bench)"
echo "1..$n"

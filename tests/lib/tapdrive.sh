#!/bin/sh
# tapdrive.sh TAP-DRIVER ARGUMENTS...: Automake's driver; then lines of the log that begin with "promqltest: " are shown as well.
driver=$1
shift
log=
before=
for arg; do
	[ "$before" = --log-file ] && log=$arg
	before=$arg
done
${SHELL:-/bin/sh} "$driver" "$@"
status=$?
if [ -n "$log" ]; then grep '^promqltest: ' "$log"; fi
exit $status

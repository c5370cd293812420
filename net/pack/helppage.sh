#!/bin/sh
# helppage.sh PROGRAM "WHAT IT IS": a man page of what PROGRAM --help and, where that lists commands, PROGRAM COMMAND --help
# say, for a program of ours that has none of its own.
set -eu
program=$1 what=$2
name=$(basename "$program")
raw() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }
section() { printf '%s\n.nf\n' "$1"; "$program" ${2:+"$2"} --help 2>&1 | raw; printf '.fi\n'; }

printf '.\\" Made by net/pack/helppage.sh of what the program says itself.\n'
printf '.TH %s 1 "" kymo "User Commands"\n.SH NAME\n%s \\- %s\n' "$(printf %s "$name" | tr a-z A-Z)" "$name" "$(printf '%s' "$what" | raw)"
section ".SH SYNOPSIS"
"$program" --help 2>&1 | awk 'NR > 1 && /^  [a-z]/ && $1 ~ /^[a-z-]+$/ { print $1 }' | while read -r command; do
	"$program" "$command" --help 2>&1 | head -n 1 | grep -q '^usage: ' || continue
	section ".SH \"COMMAND $(printf %s "$command" | tr a-z A-Z)\"" "$command"
done
printf '.SH SEE ALSO\n.BR kymod (1)\n'

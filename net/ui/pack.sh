#!/bin/sh
# Makes a C file of the page's files: packed by gzip, their bytes as an array each. sh pack.sh DIR OUT FILE...
# FILE is a path below DIR. What comes out depends on the files and on gzip alone. An array, not .incbin: it is
# found by ccache and by dependencies as any source, and a build with link time optimization keeps it, too.
set -eu
dir=$1 out=$2
shift 2
type_of() {
	case $1 in
	*.js) echo "text/javascript; charset=utf-8" ;;
	*.css) echo "text/css; charset=utf-8" ;;
	*.html) echo "text/html; charset=utf-8" ;;
	*.md) echo "text/markdown; charset=utf-8" ;;
	*.svg) echo "image/svg+xml" ;;
	*) echo "pack.sh: what is $1?" >&2; exit 1 ;;
	esac
}
trap 'rm -f "$out.new"' EXIT
{
	echo '/* Made by net/ui/pack.sh. */'
	echo '#include "net/ui/uipack.h"'
	n=0
	for f do
		echo
		echo "static const uint8_t file_$n[] = {"
		gzip -9nc <"$dir/$f" | od -An -v -tu1 | sed 's/  */ /g; s/^ //; s/ /,/g; s/$/,/'
		echo "};"
		n=$((n + 1))
	done
	echo
	echo "const struct uipack_file uipack_files[] = {"
	n=0
	for f do
		type=$(type_of "$f")
		size=$(($(wc -c <"$dir/$f")))
		printf '\t{ "%s", "%s", file_%d, sizeof file_%d, %d },\n' "$f" "$type" "$n" "$n" "$size"
		n=$((n + 1))
	done
	echo "};"
	echo "const size_t uipack_count = $n;"
} >"$out.new"
mv "$out.new" "$out"
trap - EXIT

#!/bin/sh
# Makes a C file of the page's files: all modules as one script (script.pl), packed by gzip, their bytes as an array each. sh pack.sh DIR OUT FILE...
# sh pack.sh plain FILE prints one without its comments.
# FILE is a path below DIR. What comes out depends on the files and on gzip alone. An array, not .incbin: it is
# found by ccache and by dependencies as any source, and a build with link time optimization keeps it, too.
set -eu
here=${0%/*}
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
# Scripts and styles without comments and blanks.
plain() {
	case $1 in
	*.js) perl "$here/script.pl" - <"$1" ;;
	*.css) awk '
		inside { if (i = index($0, "*/")) { inside = 0; $0 = substr($0, i + 2) } else $0 = "" }
		{ sub(/^[ \t]+/, "") }
		/^\/\*/ {
			i = index($0, "*/")
			if (!i) inside = 1
			$0 = i ? substr($0, i + 2) : ""
		}
		{
			sub(/[ \t]+\/\* [^*]*\*\/[ \t]*$/, "")
			# Not in texts in quotes; blanks around + and - mean something, and so does one before a colon.
			n = split($0, part, "\"")
			for (i = 1; i <= n; i += 2) {
				while (match(part[i], / [{};,>]/)) part[i] = substr(part[i], 1, RSTART - 1) substr(part[i], RSTART + 1)
				while (match(part[i], /[{};,>:] /)) part[i] = substr(part[i], 1, RSTART) substr(part[i], RSTART + 2)
			}
			line = part[1]
			for (i = 2; i <= n; i++) line = line "\"" part[i]
			gsub(/;\}/, "}", line)
			printf "%s", line
		}
		END { print "" }' "$1" ;;
	*) cat "$1" ;;
	esac
}
case $dir in
plain) plain "$out"; exit ;;
esac
# Is the file there by itself, as it is packed? Modules are one, app.js, and so are the pages for readers, help.md, each
# behind a line of a form feed and its name: together they pack better.
alone() {
	case $1 in
	app.js | theme.js | help.md) true ;;
	*.js | help/*) false ;;
	esac
}
packed() {
	case $1 in
	app.js) cat "$out.$$.js" ;;
	help.md) cat "$out.$$.md" ;;
	*) plain "$dir/$1" ;;
	esac
}
trap 'rm -f "$out.$$.new" "$out.$$.js" "$out.$$.md"' EXIT
perl "$dir/script.pl" "$dir" "$@" >"$out.$$.js"
for f do
	case $f in
	help/*.md)
		printf '\f%s\n' "$(basename "$f" .md)"
		cat "$dir/$f" ;;
	esac
done >"$out.$$.md"
set -- $(printf "%s\n" "$@" help.md | LC_ALL=C sort)
{
	echo '/* Made by net/ui/pack.sh. */'
	echo '#include "net/ui/uipack.h"'
	n=0
	for f do
		alone "$f" || continue
		echo
		echo "static const uint8_t file_$n[] = {"
		packed "$f" | gzip -9nc | od -An -v -tu1 | sed 's/  */ /g; s/^ //; s/ /,/g; s/$/,/'
		echo "};"
		n=$((n + 1))
	done
	echo
	echo "const struct uipack_file uipack_files[] = {"
	n=0
	for f do
		alone "$f" || continue
		type=$(type_of "$f")
		size=$(($(packed "$f" | wc -c)))
		printf '\t{ "%s", "%s", file_%d, sizeof file_%d, %d },\n' "$f" "$type" "$n" "$n" "$size"
		n=$((n + 1))
	done
	echo "};"
	echo "const size_t uipack_count = $n;"
} >"$out.$$.new"
mv "$out.$$.new" "$out"
rm -f "$out.$$.js" "$out.$$.md"
trap - EXIT

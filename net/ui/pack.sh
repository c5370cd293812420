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
# Scripts without comments and blanks (squeeze.awk), a quarter of what is sent; styles without comments that begin or end lines.
plain() {
	case $1 in
	*.js) awk -f "$here/squeeze.awk" "$1" ;;
	*.css) awk '
		inside { if (i = index($0, "*/")) { inside = 0; $0 = substr($0, i + 2) } else $0 = "" }
		{ sub(/^[ \t]+/, "") }
		/^\/\*/ {
			i = index($0, "*/")
			if (!i) inside = 1
			$0 = i ? substr($0, i + 2) : ""
		}
		{ sub(/[ \t]+\/\* [^*]*\*\/[ \t]*$/, ""); sub(/ \{$/, "{"); gsub(/; /, ";"); print }' "$1" ;;
	*) cat "$1" ;;
	esac
}
# All modules in one, app.js: so they pack better by a seventh, and come at once. Each is a function that runs when it is
# first used and gives what the module exports. What modules may be written like is little: imports of names, on a line
# each, exports of const, function and class where they are declared, no await outside of functions; else it ends here.
script() {
	echo 'const modules={},used={},use=(name)=>used[name]??=modules[name](),'
	echo 'find=async(to,from)=>use(new URL(to,`x:/${from}`).pathname.slice(1));'
	for f do
		case $f in
		theme.js) ;; # a script of its own: it runs before anything is painted
		*.js)
			if grep -E '^(for )?await ' "$dir/$f" >&2; then
				echo "pack.sh: $f: an await outside of functions" >&2
				exit 1
			fi
			plain "$dir/$f" | awk -v name="$f" '
			function fail(why) { print "pack.sh: " name ": " why ": " $0 >"/dev/stderr"; bad = 1; exit 1 }
			function path(to,   n, m, i, from, parts, out) {
				m = split(name, out, "/") - 1
				n = split(to, parts, "/")
				for (i = 1; i <= n; i++)
					if (parts[i] == "..") m--
					else if (parts[i] != ".") out[++m] = parts[i]
				to = out[1]
				for (i = 2; i <= m; i++) to = to "/" out[i]
				return to
			}
			BEGIN { print "modules[\"" name "\"]=()=>{" }
			/^[ \t]*$/ { next }
			/^import[{* ]/ {
				if (!match($0, /"\.[^"]*"/)) fail("an import that is not understood")
				to = "=use(\"" path(substr($0, RSTART + 1, RLENGTH - 2)) "\");"
				if ($0 ~ /^import\{[^}]*\}from"[^"]*";$/) {
					sub(/^import/, "const"); sub(/from".*/, to); gsub(/ as /, ":")
				} else if ($0 ~ /^import\*as [A-Za-z0-9_]+ from"[^"]*";$/) {
					sub(/^import\*as /, "const "); sub(/ from".*/, to)
				} else fail("an import that is not understood")
				print; next
			}
			/^export[{ ]/ {
				if ($0 ~ /^export\{[^}]*\};$/) {
					sub(/^export\{/, ""); sub(/\};$/, ""); names = names "," $0; next
				}
				if ($0 !~ /^export (const|function|async function|class) [A-Za-z0-9_]+/) fail("an export that is not understood")
				sub(/^export /, "")
				n = $0; sub(/^(const|async function|function|class) /, "", n); match(n, /^[A-Za-z0-9_]+/)
				names = names "," substr(n, 1, RLENGTH)
			}
			{
				gsub(/import\.meta\.url/, "new URL(\"" name "\",import.meta.url).href")
				while (match($0, /[^A-Za-z0-9_.]import\([^()]*\)/)) {
					call = substr($0, RSTART + 8, RLENGTH - 9)
					$0 = substr($0, 1, RSTART) "find(" call ",\"" name "\")" substr($0, RSTART + RLENGTH)
				}
				print
			}
			END { if (!bad) print "return{" substr(names, 2) "}};" }' || exit 1 ;;
		esac
	done
	echo 'use("app.js");'
}
case $dir in
plain) plain "$out"; exit ;;
esac
# Is the file there by itself, as it is packed? Modules are not, but for the first one, which is all of them.
alone() {
	case $1 in
	app.js | theme.js) true ;;
	*.js) false ;;
	esac
}
packed() {
	case $1 in
	app.js) cat "$out.js" ;;
	*) plain "$dir/$1" ;;
	esac
}
trap 'rm -f "$out.new" "$out.js"' EXIT
perl "$dir/script.pl" "$dir" "$@" >"$out.js"
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
} >"$out.new"
mv "$out.new" "$out"
rm -f "$out.js"
trap - EXIT

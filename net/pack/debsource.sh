#!/bin/sh
# debsource.sh SOURCE OUT [VERSION]: OUT becomes a source tree of Debian's form: the files of SOURCE (those git knows, or,
# without git, all but what was built), net/pack/debian at its top, a changelog with the version of configure.ac.
set -eu
src=$1 out=$2
version=${3:-$(sed -n 's/^AC_INIT(\[kymo\], \[\([^]]*\)\].*/\1/p' "$src/configure.ac")}
[ -n "$version" ] || { echo "debsource.sh: no version in $src/configure.ac" >&2; exit 1; }
rm -rf "$out"
mkdir -p "$out"
cd "$src"
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	git ls-files --cached --others --exclude-standard -z
else
	find . \( -name 'build*' -path './build*' -o -name .git -o -name autom4te.cache \) -prune -o \
		-type f ! -name '*.o' ! -name '*~' ! -name Makefile.in ! -path ./configure ! -path ./aclocal.m4 ! -path ./config.h.in -print0
fi | xargs -0 sh -c 'for f; do [ -e "$f" ] || continue; printf "%s\0" "$f"; done' sh | tar --null -T - -cf - | tar -xf - -C "$out"
cp -r net/pack/debian "$out/debian"
when=$(git log -1 --format=%cD 2>/dev/null || date -R)
cat >"$out/debian/changelog" <<END
kymo ($version) unstable; urgency=medium

  * Version $version.

 -- Kymo developers <kymo@example.org>  $when
END
echo "$version"

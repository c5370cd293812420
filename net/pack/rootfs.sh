#!/bin/sh
# rootfs.sh BUILD OUT: OUT becomes the root of a container's image with what kymod and kymoctl need to run, and nothing else:
# the two programs, the libraries they are linked with, certificates of authorities, a user, a configuration, licenses.
# No shell, no package manager, nothing that is setuid. Used by the Containerfile and by the tests.
set -eu
build=$1 out=$2
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
rm -rf "$out"
for d in dev etc/kymo etc/ssl/certs proc sys usr/bin usr/lib usr/lib64 usr/share/doc/kymo var/lib/kymo; do mkdir -p "$out/$d"; done
for d in bin lib lib64; do ln -s "usr/$d" "$out/$d"; done

licensed=
license_of() { # license_of FILE: the copyright page of the package that brought it
	package=$(dpkg -S "$(readlink -f "$1")" 2>/dev/null || dpkg -S "/usr$(readlink -f "$1")" 2>/dev/null || dpkg -S "$1" 2>/dev/null) || return 0
	package=$(printf '%s\n' "$package" | sed 's/[:,].*//;q')
	case " $licensed " in *" $package "*) return 0 ;; esac
	licensed="$licensed $package"
	[ -e "/usr/share/doc/$package/copyright" ] || return 0
	mkdir -p "$out/usr/share/doc/$package"
	cp -L "/usr/share/doc/$package/copyright" "$out/usr/share/doc/$package/copyright"
}

for program in kymod kymoctl; do
	strip -o "$out/usr/bin/$program" "$build/$program"
	chmod 755 "$out/usr/bin/$program"
	# Libraries by the names under which they are looked for, at the places where they are found; the loader, too.
	ldd "$build/$program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p'
done | sort -u >"$out/.libraries"
while read -r lib; do
	case "$lib" in
	/usr/*) to=$lib ;;
	*) to=/usr$lib ;;
	esac
	mkdir -p "$out$(dirname "$to")"
	cp -L "$lib" "$out$to"
	chmod 755 "$out$to"
	license_of "$lib"
done <"$out/.libraries"
rm "$out/.libraries"

printf 'root:x:0:0:root:/:/nonexistent\nkymo:x:65532:65532:kymo:/var/lib/kymo:/nonexistent\n' >"$out/etc/passwd"
printf 'root:x:0:\nkymo:x:65532:\n' >"$out/etc/group"
printf 'hosts: files dns\n' >"$out/etc/nsswitch.conf"
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
	cp -L /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/ca-certificates.crt"
	license_of /usr/sbin/update-ca-certificates
fi
cp "$here/container.yaml" "$out/etc/kymo/kymod.yaml"
cp "$here/../../LICENSE" "$out/usr/share/doc/kymo/copyright"
chmod 644 "$out"/etc/passwd "$out"/etc/group "$out"/etc/nsswitch.conf "$out"/etc/kymo/kymod.yaml "$out"/usr/share/doc/kymo/copyright
chmod 700 "$out/var/lib/kymo"
if [ "$(id -u)" = 0 ]; then chown 65532:65532 "$out/var/lib/kymo"; fi

#!/bin/sh
# net/ui/squeeze.awk: blanks and comments go, what means something stays. Prints TAP.
cd "${KYMO_SRC:-.}" || exit 1
n=0
gives() { # gives SOURCE WANTED
	n=$((n + 1))
	got=$(printf '%s\n' "$1" | awk -f net/ui/squeeze.awk 2>&1)
	if [ "$got" = "$2" ]; then echo "ok $n - $(printf '%s' "$1" | head -n 1)"
	else printf 'not ok %d - %s\n# got    %s\n# wanted %s\n' "$n" "$1" "$got" "$2"
	fi
}
gives 'const a = 1;' 'const a=1;'
gives '	return  x ;  // why' 'return x;'
gives 'a /* b */ in /* c */ d' 'a in d'
gives 'a + +b - -c + ++d' 'a+ +b- -c+ ++d'
gives 'const s = "a  /* b */  // c", t = '"'d  \\'  e'"';' 'const s="a  /* b */  // c",t='"'d  \\'  e'"';'
gives 'const r = /a  [/"]  \/ *  b/g, x = a / b / c;' 'const r=/a  [/"]  \/ *  b/g,x=a/b/c;'
gives 'return /x  y/.test(z) ? (1 + 2) / 3 : [4] / 5;' 'return/x  y/.test(z)?(1+2)/3:[4]/5;'
gives 'x = /a b/ in c' 'x=/a b/ in c'
gives 't = `a  ${ b + `c  ${ { d : 1 } }  e` }  // f`;  // g' 't=`a  ${b+`c  ${{d:1}}  e`}  // f`;'
gives 't = `a  ${ x ? `  ` : y / 2 }` / 2;' 't=`a  ${x?`  `:y/2}`/2;'
gives 'const { a: b, ...c } = async function* () { };' 'const{a:b,...c}=async function*(){};'
gives 'f`x  y`; g `z`' 'f`x  y`;g`z`'
gives 'const é = 1, x = é in y;' 'const é=1,x=é in y;'
gives 'this.#a = "\u00b5" + 1 .toFixed()' 'this.#a="\u00b5"+1 .toFixed()'
gives 'a
/* b
   c */ d
	// e
`f
  // g
	h` + i' 'a

d

`f
  // g
	h`+i'
fails() { # fails SOURCE WANTED
	n=$((n + 1))
	got=$(printf '%s\n' "$1" | { awk -f net/ui/squeeze.awk >/dev/null || echo failed; } 2>&1)
	if [ "$got" = "$2
failed" ]; then echo "ok $n - $2"
	else printf 'not ok %d - %s\n# got    %s\n' "$n" "$1" "$got"
	fi
}
fails 'a = "b' 'squeeze.awk: line 1: " has no end: a = "b'
fails '/* a' 'squeeze.awk: a template or a comment has no end'
fails 'a = `b' 'squeeze.awk: a template or a comment has no end'
echo "1..$n"

#!/bin/sh
# net/ui/script.pl: blanks and comments go, variables get short names, modules become one; what means something stays. Prints TAP.
cd "${KYMO_SRC:-.}" || exit 1
n=0
gives() { # gives SOURCE WANTED: a script by itself, names stay
	n=$((n + 1))
	got=$(printf '%s\n' "$1" | perl net/ui/script.pl - 2>&1)
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
gives 'a = "\u00b5" + 1 .toFixed()' 'a="\u00b5"+1 .toFixed()'
gives 'f((x) => { g(x, 1,); }, [a, ], { b, });' 'f(x=>{g(x,1)},[a],{b});'
gives '{ for (;;); }' '{for(;;);}'
gives 'async (x) => { if (x); }' 'async x=>{if(x);}'
gives 'a = b
c = d
(e)' 'a=b
c=d
(e)'
fails() { # fails SOURCE WANTED
	n=$((n + 1))
	got=$(printf '%s\n' "$1" | { perl net/ui/script.pl - >/dev/null || echo failed; } 2>&1)
	case $got in
	"$2"*failed) echo "ok $n - $2" ;;
	*) printf 'not ok %d - %s\n# got    %s\n' "$n" "$1" "$got" ;;
	esac
}
fails 'a = "b' 'script.pl: stdin: what is this? "b'
fails '/* a' 'script.pl: stdin: a regular expression without an end'
fails 'a = `b' 'script.pl: stdin: a template without an end'
fails 'a }' 'script.pl: stdin: a brace too many'

d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
mkdir "$d/views"
together() { # together TEXT WANTED [MODULES...]: of the modules in $d
	n=$((n + 1))
	got=$(perl net/ui/script.pl "$d" app.js views/one.js "$@" 2>&1)
	if [ "$got" = "$want" ]; then echo "ok $n - $what"
	else printf 'not ok %d - %s\n# got    %s\n# wanted %s\n' "$n" "$what" "$got" "$want" | sed '2,$s/^/# /'
	fi
}
cat >"$d/views/one.js" <<'E'
/* a view */
import {name as called, find} from "../lib.js";
export const title = "One";
const history = [1];
export function show({open, root: {top = called}}, ...rest) {
	const {a, b = 2} = rest, location = find({called, name: a, get b() { return b; }});
	document.title = window.open ? title : open;
	return {top, title: history, location, show(name) { return name; }};
}
E
cat >"$d/lib.js" <<'E'
export const name = "n";
export const find = (what) => what?.name ?? what.find;
E
cat >"$d/app.js" <<'E'
import {find} from "./lib.js";
const go = async (name) => (await import(`./views/${name}.js`)).show(find(document));
go("one");
console.log(import.meta.url);
E
what="names of properties and of the browser stay; names of modules do not meet"
want='let _="n";let $=b=>b?.name??b.find;
let Z="One";let W=[1];function V({open,root:{top=_}},...e){let{a:c,b:d=2}=e,location=$({called:_,name:c,get b(){return d}});document.title=window.open?Z:open;return{top,title:W,location,show(a){return a}}}
let Y={"views/one.js":{show:V,title:Z}};
let X=async a=>(await Promise.resolve(Y[new URL(`./views/${a}.js`,"x:/app.js").pathname.slice(1)])).show($(document));X("one");console.log(new URL("app.js",import.meta.url).href);'
together lib.js
for bad in 'import x from "./lib.js";' 'export default 1;' 'import {none} from "./lib.js";\nnone();' 'await 1;' 'export {none};' 'import {name} from "./gone.js";'; do
	n=$((n + 1))
	printf '%b\n' "$bad" >"$d/app.js"
	if perl net/ui/script.pl "$d" app.js views/one.js lib.js >/dev/null 2>"$d/err"; then echo "not ok $n - $bad is taken"
	else echo "ok $n - $bad: $(head -n 1 "$d/err")"
	fi
done
echo "1..$n"

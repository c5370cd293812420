#!/bin/sh
# net/ui/script.pl, net/ui/pack.sh plain: blanks and comments go, variables get short names, modules become one; what means something
# stays. Prints TAP.
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
gives 'if (a)
	b();
else
	for (;;)
		c();
{ d(); }
e();' 'if(a)b();else for(;;)c();{d()}e();'
gives 'const f = function () { }
(g)' 'const f=function(){}
(g)'
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
want='let $="n",_=e=>e?.name??e.find;
let Z="One",Y=[1];function X({open:e,root:{top:t=$}},...a){let{a:o,b:i=2}=a,n=_({called:$,name:o,get b(){return i}});document.title=window.open?Z:e;return{top:t,title:Y,location:n,show(e){return e}}}
let W={"views/one.js":{show:X,title:Z}};
let V=async e=>(await Promise.resolve(W[new URL(`./views/${e}.js`,"x:/app.js").pathname.slice(1)])).show(_(document));V("one");console.log(new URL("app.js",import.meta.url).href);'
together lib.js
shortens() { # shortens WHAT SOURCE WANTED: of a module that gives nothing
	printf '%s\n' "$2" >"$d/app.js"
	n=$((n + 1))
	got=$(perl net/ui/script.pl "$d" app.js 2>&1 | sed 1d)
	if [ "$got" = "$3" ]; then echo "ok $n - $1"
	else printf 'not ok %d - %s\n# got    %s\n# wanted %s\n' "$n" "$1" "$got" "$3"
	fi
}
shortens 'each scope begins with the first name that it does not see' \
	'f((one, two) => one + g((three) => three * two), (four) => { const five = four; return five; });' \
	'f((e,t)=>e+g(e=>e*t),e=>{let t=e;return t});'
shortens 'a name means what is nearest, before and behind a block, too' \
	'function f(one) { g(one); { const one = 2; g(one); } for (const one of two) { const one = 3; g(one); } return one; }' \
	'function _(e){g(e);{let e=2;g(e)}for(let e of two){let e=3;g(e)}return e}'
shortens 'the body of a function has no name of its parameters, neither has catch' \
	'function f(one) { const two = 1; try { g(); } catch (one) { const two = 2; } }' \
	'function _(e){let t=1;try{g()}catch(e){let t=2}}'
shortens 'for without a block ends where its statement does' \
	'function f(one) { for (const one of a) if (one) g(one); else for (let i = 0; i < one; i++) h(one); return one; }' \
	'function _(e){for(let e of a)if(e)g(e);else for(let t=0;t<e;t++)h(e);return e}'
shortens 'an arrow ends with its value' \
	'const f = (a) => a ? (b) => b ? 1 : a : `${((b) => b)(a)}${a}`, one = (a) => [a, a], two = a;' \
	'let _=e=>e?t=>t?1:e:`${(e=>e)(e)}${e}`,Z=e=>[e,e],Y=a;'
shortens 'patterns declare names, their keys and values do not' \
	'function f({a, b: {c = d(a, e), "f g": h}, ...i}, [j, , k = {l: m}]) { return {a, c, h, i, j, k, l, m, e}; }' \
	'function _({a:t,b:{c:a=d(t,e),"f g":o},...i},[n,,s={l:m}]){return{a:t,c:a,h:o,i,j:n,k:s,l,m,e}}'
shortens "what is the browser's stays, and nothing is called like it where it is seen" \
	'function f(a, b) { const location = a; return (b) => e(location, t, b); } const top = location;' \
	'function _(a,o){let i=a;return a=>e(i,t,a)}let Z=location;'
shortens 'declarations behind each other are one' \
	'const a = 1; let b; const {c} = a; f(); const d = 2; for (let i = 0; ;) { let j; let k = {}; }' \
	'let $=1,Z,{c:Y}=$;f();let X=2;for(let e=0;;){let e,t={}}'
shortens 'true and false, where they are no names' \
	'f(true, {true: false, a: true ? false : 1, b: c.true, d: !true}); function g() { return true; }' \
	'f(!0,{true:!1,a:!0?!1:1,b:c.true,d:!!0});function _(){return!0}'
n=$((n + 1))
printf '%s\n' 'const f = (a) => Math.max(a, Math.min(1, Math.max(2, a))) + [1].map(Math.max) + a.Math.max(1) + Math;' >"$d/app.js"
got=$(perl net/ui/script.pl "$d" app.js 2>&1)
want='let $=Math.max;let _={};
let Z=e=>$(e,Math.min(1,$(2,e)))+[1].map($)+e.Math.max(1)+Math;'
if [ "$got" = "$want" ]; then echo "ok $n - functions of the language that are used often have a short name"
else printf 'not ok %d - functions of the language\n# got    %s\n# wanted %s\n' "$n" "$got" "$want" | sed '2,$s/^/# /'
fi
for bad in 'import x from "./lib.js";' 'export default 1;' 'import {none} from "./lib.js";\nnone();' 'await 1;' 'export {none};' 'import {name} from "./gone.js";' 'var a;' 'const a = b\nconst c = d;' 'for (;;) switch (a) { }'; do
	n=$((n + 1))
	printf '%b\n' "$bad" >"$d/app.js"
	if perl net/ui/script.pl "$d" app.js views/one.js lib.js >/dev/null 2>"$d/err"; then echo "not ok $n - $bad is taken"
	else echo "ok $n - $bad: $(head -n 1 "$d/err")"
	fi
done
styles() { # styles SOURCE WANTED: a style sheet
	n=$((n + 1))
	printf '%s\n' "$1" >"$d/one.css"
	got=$(sh net/ui/pack.sh plain "$d/one.css" 2>&1)
	if [ "$got" = "$2" ]; then echo "ok $n - $(printf '%s' "$1" | head -n 1)"
	else printf 'not ok %d - %s\n# got    %s\n# wanted %s\n' "$n" "$1" "$got" "$2"
	fi
}
styles '/* a */
a { b: c d; e: f, g; }	/* h */
/* i
j */
k > l, m :not(n) {
	o: p;
}' 'a{b:c d;e:f,g}k>l,m :not(n){o:p;}'
styles '@media (max-width: 1px) { a[b="c: d, e"]::before { content: "  ;  { " / ""; } }' '@media (max-width:1px){a[b="c: d, e"]::before{content:"  ;  { " / ""}}'
styles 'a:nth-child(n + 2) { width: calc(100% - 2px); grid-column: 1 / -1; }' 'a:nth-child(n + 2){width:calc(100% - 2px);grid-column:1 / -1}'
echo "1..$n"

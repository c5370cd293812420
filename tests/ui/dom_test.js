/* Elements by functions. */
import {equal, ok} from "./tap.js";
import {copyByHand, h, put, svg} from "/ui/lib/dom.js";

let clicks = 0;
const b = h("button", {class: "k-button", type: "button", onclick: () => clicks++, disabled: false, hidden: false, "aria-pressed": "true", dataset: {view: "x"}, style: {width: "10px"}, title: null}, "Run", 1, [null, false, ["!"]]);
equal(b.outerHTML, '<button type="button" class="k-button" aria-pressed="true" data-view="x" style="width: 10px;">Run1!</button>', "an element");
b.click();
equal(clicks, 1, "with its event");
const evil = h("p", {title: '"><img src=x onerror=1>'}, "<img src=x onerror=1>");
equal(evil.children.length, 0, "text is text");
const s = h("select", {value: "b"}, h("option", {value: "a"}, "A"), h("option", {value: "b"}, "B"));
equal(s.value, "b", "a select has its value");
ok(h("input", {type: "checkbox", checked: true}).checked, "a box is checked");
ok(h("div", {hidden: true}).hidden, "true is an attribute");
equal(svg("path", {d: "M0 0", class: "x"}).namespaceURI, "http://www.w3.org/2000/svg", "SVG");
equal(put(h("div", null, "old"), "new", h("b")).innerHTML, "new<b></b>", "put takes the old out");
equal(h("p", null, 0, "").textContent, "0", "zero is a number");

/* The focus stays where it was when its place is made anew. */
const bar = h("div"), make = (...names) => put(bar, names.map(n => h("button", {type: "button", disabled: n[0] === "-"}, n)));
const at = () => document.activeElement.textContent;
document.body.append(bar);
make("a", "b", "c");
bar.children[1].focus();
make("x", "a", "b", "c");
equal(at(), "b", "put: the focus goes to who has the same name");
make("x", "a", "B", "c");
equal(at(), "B", "else to who has the same place");
make("x", "a", "-B", "c");
ok(bar.contains(document.activeElement), "or near it, where that is disabled");
const kept = h("input", {value: "text"});
put(bar, kept);
kept.focus();
kept.setSelectionRange(1, 2);
put(bar, h("b", null, "new"), kept);
equal([document.activeElement === kept, kept.selectionStart, kept.selectionEnd], [true, 1, 2], "or to itself, with its caret");
put(bar);
equal(document.activeElement, document.body, "or is lost with all of it");
bar.append(kept);
kept.focus();
copyByHand("x");
equal(document.activeElement, kept, "a copy by hand takes no focus");
bar.remove();

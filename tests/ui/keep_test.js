/* What this browser remembers. */
import {equal, ok} from "./tap.js";
import {forget, history, load, remember, store} from "/ui/lib/keep.js";

localStorage.clear();
equal(load("nothing"), null, "nothing is there");
equal(load("nothing", 7), 7, "then what else is wanted");
store("theme", "dark");
equal(load("theme"), "dark", "what is stored is there");
equal(localStorage.getItem("kymo.theme"), '"dark"', "in a name space");
store("theme", null);
equal(localStorage.getItem("kymo.theme"), null, "null forgets it");
equal(load("theme", "auto"), "auto", "it is gone");
localStorage.setItem("kymo.odd", "{no JSON");
equal(load("odd", 1), 1, "what somebody else put there is nothing");

equal(history(), [], "no queries yet");
remember("up", 1);
remember("  rate(x[5m])\n", 2);
remember("", 3);
remember("   ", 3);
equal(history(), [{query: "rate(x[5m])", at: 2}, {query: "up", at: 1}], "queries, the newest first");
remember("up", 4);
equal(history().map((e) => e.query), ["up", "rate(x[5m])"], "each stands there once");
remember("x".repeat(20001), 5);
equal(history().length, 2, "one without end is not remembered");
for (let i = 0; i < 300; i++)
	remember(`q${i}`, i);
ok(history().length === 200 && history()[0].query === "q299", "there is a limit");
store("history", {no: "list"});
equal(history(), [], "what is no list is none");
store("history", [{query: 5}, null, {query: "a", at: 1}]);
equal(history(), [{query: "a", at: 1}], "nor is what is no query");
forget();
equal(history(), [], "it is forgotten");
remember("secret", 1);
localStorage.removeItem("kymo.history");
remember("up", 2);
equal(history(), [{query: "up", at: 2}], "what another tab forgot does not come back");
store("theme", "dark");
localStorage.removeItem("kymo.theme");
equal(load("theme"), null, "nor what it set back");
store("theme", "dark");
localStorage.setItem("kymo.theme", '"light"');
equal(load("theme"), "light", "what it stored last is there");
store("theme", null);

/* Where it is off it lasts as long as the page. */
const real = Object.getOwnPropertyDescriptor(window, "localStorage");
Object.defineProperty(window, "localStorage", {configurable: true, get: () => { throw new DOMException("off", "SecurityError"); }});
store("zone", "utc");
equal(load("zone"), "utc", "without localStorage it is in memory");
store("zone", null);
equal(load("zone"), null, "and goes from there");
if (real)
	Object.defineProperty(window, "localStorage", real);
else
	delete window.localStorage;
const setItem = Storage.prototype.setItem;
Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
store("zone", "utc");
equal(load("zone"), "utc", "nor is one that is full an error");
Storage.prototype.setItem = setItem;
store("history", [{query: "old", at: 1}]);
Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
remember("new", 2);
equal(history().map((e) => e.query), ["new", "old"], "what it has from before does not hide what came later");
Storage.prototype.setItem = setItem;
forget();
equal(history(), [], "both are forgotten");

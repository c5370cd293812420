/* Where messages point to, and what an expression selects. */
import {equal} from "./tap.js";
import {place, selectors, spoken} from "/ui/views/places.js";

const at = (message, text) => {
	const p = place(message, text);
	return p && text.slice(p.from, p.to);
};
equal(at('invalid parameter "query": 1:6: parse error: unexpected', "rate(up[5m)"), "up", "the word at the place of an error");
equal(at("2:3: parse error: x", "sum(\n  foo)"), "foo", "lines count");
equal(at('PromQL info: metric might not be a counter: "up" (1:6)', "rate(up[5m])"), "up", "of a warning, at its end");
equal(at("x (1:15)", '"\u00e4\u00f6\u{1f600}" + foo'), "foo", "columns are bytes");
equal(place("1:9: parse error: unexpected end of input", "foo{a=\"b"), {from: 7, to: 8}, "what is not closed: the last character");
equal(place("1:4: parse error: unexpected end of input", "up{"), {from: 2, to: 3}, "behind the end: the last character");
equal(place("1:1: parse error: no expression", ""), {from: 0, to: 1}, "of nothing");
equal(place("7:1: parse error", "up"), null, "a line that is not there");
equal(place("no place (of this form)", "up"), null, "no place");
equal(spoken('invalid parameter "query": 1:6: parse error: unexpected ")"'), 'unexpected ")"', "a message without its place");
equal(spoken('PromQL warning: quantile value should be between 0 and 1, got 2 (1:20)'), "quantile value should be between 0 and 1, got 2", "of a warning");

const found = text => selectors(text).map(s => [s.metric, s.text, s.equals]);
equal(found("sum by (job) (rate(a_total{x=\"1\", y!=\"2\"}[5m])) / b"), [["a_total", 'a_total{x="1", y!="2"}', [["x", "1"]]], ["b", "b", []]], "selectors");
equal(found('{__name__="a", job=~"x"}'), [["a", '{__name__="a", job=~"x"}', []]], "a name in braces");
equal(found('{"a.b", "c d"="1"}').map(s => s[0]), ["a.b"], "a quoted name");
equal(found("a{x='it\\'s', y=`\\d`}")[0][2], [["x", "it's"], ["y", "\\d"]], "all kinds of strings");
equal(found("a{x=\"1\""), [], "one that is not closed is none");
equal(found("1 + time()"), [], "none");

/* Completion: what is at the caret ("|" in the texts), what is asked, how it is ranked, what is put in. */
import { equal, ok, test, throws } from "./tap.js";
import { at, call, choices, edit, key, rank, source, wants } from "/ui/promql/complete.js";

const caretOf = (marked) => [marked.replace("|", ""), marked.indexOf("|")];
const look = (marked) => at(...caretOf(marked));

test("the kind of place", () => {
	const cases = [
		["|", "expr", ""], ["ra|", "expr", "ra"], ["sum(ra|", "expr", "ra"], ["no|de_load1", "expr", "no"], ["a + b|", "expr", "b"], ["x == b|", "expr", "b"],
		["up{|", "label", ""], ["up{jo|", "label", "jo"], ['up{job="a", inst|="b"}', "label", "inst"], ["sum by (|) (x)", "label", ""], ["sum(x) by (a, b|)", "label", "b"], ["a / on (|) b", "label", ""],
		['sum by ("a.|")', "label", "a."], ['up{job="no|"}', "value", "no"], ['up{job="no|', "value", "no"], ["up{job=|", "value", ""], ["up{job=no|}", "value", "no"], ['up{job=~"a|', "value", "a"],
		['up{job="a\\"|"}', "value", 'a"'], ['{"my|"}', "quoted", "my"], ["up{job |", "op", ""], ["up{job|}", "label", "job"], ["rate(up[|", "duration", ""], ["rate(up[5|])", "duration", "5"], ["up offset 1h3|", "duration", "1h3"],
		["x[5m:|]", "duration", ""], ["up |", "after", ""], ["up o|", "after", "o"], ["sum(x) b|", "after", "b"], ["sum b|", "after", "b"], ["up @ s|", "time", "s"],
		["# co|", "none", ""], ['"str|"', "none", ""], ["5|", "none", ""], ["rate(x[$__ra|])", "none", ""], ['up{job="a"|}', "none", ""], ['up{job="a" |}', "none", ""], ["1e|", "none", ""], ["1.5|", "none", ""], ["'a.b|'", "none", ""], ["sum(http.ser|ver", "expr", "http.ser"], ["a.|", "expr", "a."], ["x # no\n + r|", "expr", "r"],
	];
	for (const [marked, kind, prefix] of cases) {
		const p = look(marked);
		equal([p.kind, p.prefix], [kind, prefix], JSON.stringify(marked));
	}
});

test("a name with dots is found as it is written", () => {
	const text = "1 + http.ser", place = at(text, text.length), [best] = choices(place, [{name: "http.server.duration", kind: "metric"}]);
	equal([wants(place)[0].search, best.name], ["http.ser", "http.server.duration"], "before it has its quotes");
	const e = edit(text, place, best);
	equal(text.slice(0, e.from) + e.insert + text.slice(e.to), '1 + {"http.server.duration"}', "and has them then");
});

test("labels that need quotes are found as they are written", () => {
	for (const [marked, prefix, name, to] of [["sum by (k8s.po|) (x)", "k8s.po", "k8s.pod", 'sum by ("k8s.pod") (x)'], ["sum by (a, \u043c\u0435|t) (x)", "\u043c\u0435", "\u043c\u0435t", 'sum by (a, "\u043c\u0435t") (x)'],
		["a + on(k8s.|", "k8s.", "k8s.pod", 'a + on("k8s.pod"'], ["up{a=\"x,y\", k8s.po|}", "k8s.po", "k8s.pod", 'up{a="x,y", "k8s.pod"=""}'], ["up{\u043c\u0435|}", "\u043c\u0435", "\u043c\u0435t", 'up{"\u043c\u0435t"=""}'],
		["sum by (|) (x)", "", "without", 'sum by ("without") (x)'], ["sum by (|) (x)", "", "inf", 'sum by ("inf") (x)'], ["up{|}", "", "inf", 'up{inf=""}']]) {
		const place = look(marked), text = marked.replace("|", ""), e = edit(text, place, {name, kind: "label"});
		equal([place.kind, place.prefix, text.slice(0, e.from) + e.insert + text.slice(e.to)], ["label", prefix, to], marked);
	}
	const asked = (marked) => wants(look(marked)).map((w) => w.what);
	equal([asked('up{"|"}'), asked('{"u", "|"}'), asked('{"|"}')], [["label_names"], ["label_names"], ["metric_names", "label_names"]], "a selector has one metric");
});

test("which series are meant", () => {
	const matches = (marked) => look(marked).matches;
	equal(matches('up{job="a", inst|="b", x=""}'), ['{__name__="up",job="a"}'], "the matchers around, without the one at the caret and without empty ones");
	equal(matches('{"my.name", "a.b"!="c", |}'), ['{"my.name","a.b"!="c"}'], "names in quotes");
	equal(matches('sum by (|) (rate(up{job="a"}[5m]) / down)'), ['{__name__="up",job="a"}', '{__name__="down"}'], "by() before its expression");
	equal(matches('x + sum(rate(up{job="a"}[5m])) by (|)'), ['{__name__="up",job="a"}'], "by() behind its expression");
	equal(matches('sum(a / on (|) group_left(x) b{c="d"}) + e'), ['{__name__="a"}'], "on(): the left side");
	equal(matches('sum(a / on (x) group_left(|) b{c="d"}) + e'), ['{__name__="b",c="d"}'], "group_left(): the right side");
	equal([look('up{job="|"}').label, look('{"up", "a.b"=~"|"}').label, look('{"up", x="|"}').metric], ["job", "a.b", "up"], "the label and the metric of a value");
	equal(look('up{job=~"a|b').matches, ['{__name__="up"}'], "a matcher that is not whole is none");
	const alternative = at('x{a=~"aa|bb|cc"}', 10);
	equal([alternative.prefix, alternative.from, alternative.to], ["b", 9, 11], "an alternative of a pattern");
});

test("the call around the caret", () => {
	const told = (marked) => {
		const c = call(...caretOf(marked));
		return c && [c.word.name, c.arg];
	};
	equal(told("histogram_quantile(0.9, sum by (le) (rate(x[5m|])))"), ["rate", 0], "the innermost");
	equal(told("histogram_quantile(0.9, |"), ["histogram_quantile", 1], "its argument");
	equal(told("topk by (a) (5, |)"), ["topk", 1], "an aggregation with its clause before");
	equal(told('label_join(x, "d", ",", "a", "b", "|'), ["label_join", 3], "the last argument again");
	equal(told("round(x, (1 + |"), ["round", 1], "parentheses alone are no call");
	equal(told('label_replace(round(a, 2), "|'), ["label_replace", 1], "commas of other calls do not count");
	equal(told("(a + |"), null, "none");
});

test("rank", () => {
	const tiers = ["rate", "irate", "x_rate", "r_a_t_e", "rt"].map((n) => rank("rate", n)?.tier ?? null);
	equal(tiers, [0, 2, 1, 3, null], "begins, word, within, letters, not at all");
	equal(rank("HTTP", "x_http_y"), { tier: 1, marks: [[2, 6]] }, "case does not matter");
	equal(rank("nfs", "node_filesystem").marks, [[0, 1], [5, 6], [9, 10]], "the letters found");
	const found = ["node_load1", "node_load15", "go_load"].map((name) => ({ name, kind: "metric" }));
	const names = (marked, recent) => choices(look(marked), wants(look(marked)) ? found : [], recent).map((c) => c.name);
	equal(names("load|"), ["node_load1", "node_load15", "go_load"], "as the server has them");
	equal(names("load|", ["metric go_load"])[0], "go_load", "used lately comes first");
	equal(names("node_load15|")[0], "node_load15", "what stands there already comes first");
	equal(choices(look("rat|"), found).map((c) => c.name), ["rate", "limit_ratio", "irate"], "a prefix before a word before what is within; letters only when there is nothing else");
	equal(choices(look("irt|"), found).map((c) => c.name).slice(0, 2), ["first_over_time", "irate"], "letters in their order, those in fewer pieces first");
	ok(choices(look("|"), found)[0].kind === "metric", "without a prefix, metrics come first");
	equal(choices(look("start|"), []).map((c) => c.name).slice(0, 2), ["start", "start_timestamp"], "experimental functions are there");
	equal(names("x[5|]"), ["5m", "5s", "5h", "5d", "5w", "5ms", "5y"], "units");
	equal(names("x[1h3|]"), ["1h3m", "1h3s", "1h3ms"], "smaller units behind a unit");
	equal(names("sum(x) |").slice(0, 2), ["by", "without"], "behind an aggregation");
	const labels = ["__name__", "code", "job"].map((name) => ({ name, kind: "label" }));
	const left = (marked) => choices(look(marked), labels).map((c) => c.name);
	equal([left("up{|}"), left('up{|, code="2"}'), left("sum by (job, |) (up)"), left("sum by (|, job) (up)"), left('up{job|="x"}')],
		[["code", "job", "__name__"], ["job", "__name__"], ["code", "__name__"], ["code", "__name__"], ["job"]], "labels that are not there yet, those of the system last");
	equal(key({ kind: "func", name: "rate" }), "func rate", "a key");
});

/* The text after the item was taken, with the caret. */
const take = (marked, item) => {
	const [text, caret] = caretOf(marked), e = edit(text, at(text, caret), item);
	const out = text.slice(0, e.from) + e.insert + text.slice(e.to);
	return `${out.slice(0, e.caret)}|${out.slice(e.caret)}`;
};
const word = (marked, name) => choices(look(marked), []).find((c) => c.name === name);

test("putting it in", () => {
	const metric = (name) => ({ kind: "metric", name }), label = (name) => ({ kind: "label", name }), value = (name) => ({ kind: "value", name });
	equal(take("ra|", word("ra|", "rate")), "rate(|)", "a function: the caret inside");
	equal(take("ti|", word("ti|", "time")), "time()|", "a function without arguments");
	equal(take("ra|(x[5m])", word("ra|", "rate")), "rate(|x[5m])", "parentheses that are there are used");
	equal(take("su| by (a) (x)", word("su|", "sum")), "sum| by (a) (x)", "an aggregation before its clause");
	equal(take("no|de_load1 + 1", metric("node_cpu")), "node_cpu| + 1", "a word is replaced as a whole");
	equal(take("my|", metric("my.name")), '{"my.name"|}', "a name that needs quotes");
	equal(take('my|{a="b"}', metric("my.name")), '{"my.name"|, a="b"}', "a name that needs quotes before braces");
	equal(take("n|", metric("nan")), '{"nan"|}', "a name that would be a number");
	equal(take("up{jo|}", label("job")), 'up{job="|"}', "a label brings its matcher");
	equal(take('up{jo|="x"}', label("job")), 'up{job|="x"}', "a label whose matcher is there");
	equal(take("up{a|}", label("a.b")), 'up{"a.b"="|"}', "a label that needs quotes");
	equal(take("sum by (j|) (x)", label("job")), "sum by (job|) (x)", "a label of a grouping");
	equal(take("sum by (j|) (x)", label("a.b")), 'sum by ("a.b"|) (x)', "one that needs quotes");
	equal(take('sum by ("a|") (x)', label("a.b")), 'sum by ("a.b"|) (x)', "one in quotes");
	equal(take('up{job="n|"}', value('a"b\\c\n')), 'up{job="a\\"b\\\\c\\n"|}', "a value is escaped");
	equal(take("up{job=|}", value("node")), 'up{job="node"|}', "a value brings its quotes");
	equal(take('up{job="n|', value("node")), 'up{job="node"|', "and closes a string");
	equal(take("up{job='n|'}", value("it's \"")), "up{job='it\\'s \"'|}", "other quotes");
	equal(take('up{job=~"a.c' + "|" + '"}', value("a.c(d)")), 'up{job=~"a\\\\.c\\\\(d\\\\)|"}', "a value in a pattern stands for itself");
	equal(take('{"m|"}', metric("my.name")), '{"my.name"|}', "a metric in quotes");
	equal(take('{"m|', metric("my.name")), '{"my.name"|', "it closes its quotes");
	equal(take('{"u", "a|"}', label("a.b")), '{"u", "a.b"="|"}', "a label in quotes");
	equal(take("up |", word("up |", "offset")), "up offset |", "a keyword");
	equal(take("sum(x) b|", word("sum(x) b|", "by")), "sum(x) by(|)", "a clause");
	equal(take("up{job |}", { kind: "op", name: "=~" }), 'up{job =~"|"}', "an operator brings quotes");
	equal(take("up @ |", { kind: "time", name: "end()" }), "up @ end()|", "a time");
	equal(take("x[5|]", { kind: "duration", name: "5m" }), "x[5m|]", "a duration");
	const hostile = ["</script>", "\u202ertl", "😀", "a\0b", "x.".repeat(5000), "'\"`\\"];
	const back = hostile.map((name) => {
		const text = take("|", metric(name)).replace("|", "");
		return at(`${text.slice(0, -1)}, `, text.length + 1).metric;
	});
	equal(back, hostile, "hostile names read as they were written");
});

/* A server of answers: routes is a function of path and parameters; asked: the paths. */
const fake = (routes) => {
	const asked = [];
	const answer = (path, params) => {
		asked.push(path);
		const a = routes(path, params);
		if (a instanceof Error)
			throw a;
		return a;
	};
	return { asked, src: source({ ask: async (path, params) => ({ data: answer(path, params) }), lines: async (path, params, fn) => answer(path, params).forEach(fn) }) };
};
const failed = (status) => Object.assign(new Error(String(status)), { status });

test("the server that searches", async () => {
	const sent = [];
	const { asked, src } = fake((path, params) => {
		sent.push(params);
		return [{ results: [{ name: "up", type: "gauge", help: "Is it up?" }, { name: "uptime" }] }, { status: "success", has_more: false }];
	});
	const found = await src.find(wants(look("u|")));
	equal(found, [{ name: "up", kind: "metric", type: "gauge", help: "Is it up?", unit: undefined }, { name: "uptime", kind: "metric", type: undefined, help: undefined, unit: undefined }], "metrics with their type and help");
	equal([asked[0], sent[0]["search[]"], sent[0].limit, sent[0].sort_by, sent[0].include_metadata], ["api/v1/search/metric_names", "u", 50, "score", "true"], "how it is asked");
	ok(src.atHand(wants(look("upt|"))), "an answer that was whole holds those to longer prefixes");
	await src.find(wants(look("upt|")));
	equal(asked.length, 1, "which are not asked again");
	src.forget();
	equal(src.atHand(wants(look("upt|"))), null, "forgotten");
	await src.find(wants(look('up{job="|"}')));
	equal([asked[1], sent[1].label, sent[1]["match[]"]], ["api/v1/search/label_values", "job", ['{__name__="up"}']], "values have the label and the selector");
	equal(wants(look("up |")), null, "keywords need no server");
});

test("what is sent", async () => {
	equal(wants({ ...look("u|"), prefix: "é".repeat(200) })[0].search, "é".repeat(128), "of a prefix, what the server takes");
	const seen = [];
	const src = source({ ask: null, lines: async (path, params, fn) => { seen.push(params); fn({ results: [], has_more: false }); }, times: () => ({ start: 1000, end: 2000.5 + seen.length }) });
	await src.find(wants(look("u|")));
	await src.find(wants(look("u|")));
	equal([seen.length, seen[0].start, seen[0].end], [1, 900, 2100], "times that are looked at, rounded so that they stay");
});

test("a list that is not whole", async () => {
	const { asked, src } = fake(() => [{ results: [{ name: "a" }] }, { status: "success", has_more: true }]);
	await src.find(wants(look("u|")));
	await src.find(wants(look("up|")));
	equal(asked.length, 2, "is asked again for a longer prefix");
});

test("the server that cannot search", async () => {
	const { asked, src } = fake((path) => path.includes("search") ? failed(404) : path.endsWith("metadata") ? { up: [{ type: "gauge", help: "h" }] } : ["up", "uptime", "x"]);
	equal((await src.find(wants(look("u|")))).map((f) => f.name), ["up", "uptime", "x"], "all names are asked for");
	await src.find(wants(look("x|")));
	equal(asked, ["api/v1/search/metric_names", "api/v1/label/__name__/values"], "once");
	await src.find(wants(look('{"up", "a.b"="|"}')));
	equal(asked.at(-1), "api/v1/label/U__a_2e_b/values", "a label that is no identifier");
	equal(await src.about("up"), { type: "gauge", help: "h" }, "what a metric is");
	equal(await src.about("up_bucket"), { type: "gauge", help: "h" }, "or its family");
	equal(await src.about("y"), null, "a metric without metadata");
});

test("errors of the server", async () => {
	let n = 0;
	const { src } = fake((path, params) => params["match[]"].length ? failed(400) : (n++, [{ results: [{ name: "job" }] }]));
	equal((await src.find(wants(look("up{|")))).map((f) => f.name), ["job"], "a selector that is refused is left out");
	const broken = fake(() => failed(503)).src;
	await throws(() => broken.find(wants(look("u|"))), "others are told");
	const late = fake(() => [{ status: "error", error: "too much" }]).src;
	equal((await throws(() => late.find(wants(look("u|"))), "so is one in the stream")).message, "too much", "with its text");
});

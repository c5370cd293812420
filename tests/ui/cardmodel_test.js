/* The model of the view Cardinality: frames, growth, selectors, rules. */
import {equal, ok} from "./tap.js";
import {boundOf, burst, explosionOf, framesOf, growth, matches, nearestFrame, partsOf, restarted, rowsOf, rulesFor, selectorOf, seriesBefore, valueIn} from "/ui/views/cardmodel.js";

const T0 = 1700000000, MIN = 60;
const history = {kind: "metrics", names: ["a", "b", "c"], moments: []};
for (let i = 0; i < 24; i++)
	history.moments.push({time: T0 + i * 5 * MIN, since: T0 + (i - 1) * 5 * MIN, series: 100 + i, made: i === 20 ? 5000 : 1, top: [[0, 50 + i], [i < 20 ? 1 : 2, 40]], below: i < 20 ? 0 : 7});
const now = {series: 5200, seriesHourAgo: 110, seriesDayAgo: null, metrics: [{name: "c", series: 5000, hourAgo: 0, dayAgo: null}, {name: "a", series: 74, hourAgo: 62, dayAgo: null}], labels: [{name: "user", values: 9, about: true, hourAgo: 3, dayAgo: null}], below: {metrics: 5, labels: 8}};
const at = (T0 + 24 * 5 * MIN) * 1000;

const frames = framesOf(history, now, "metrics", at);
equal(frames.length, 25, "moments and now");
equal(frames[0].top, [["a", 50], ["b", 40]], "names stand in rows");
equal([frames[24].now, frames[24].time, frames[24].since, frames[24].made], [true, at, at - 300000, null], "now is the last one");
equal(framesOf(history, now, "metrics", 5).at(-1).time, (T0 + 23 * 5 * MIN) * 1000 + 1000, "now is behind all moments, whatever this clock says");
equal(framesOf(history, now, "labels", at).at(-1).top, [["user", 9, true]], "labels have values");
equal(rowsOf(framesOf(history, now, "labels", at), 24).map(r => r.about), [true], "that are not exact, if the server says so");
equal([frames[24].below, frames[0].below], [5, 0], "now, too, something is not listed");
equal(framesOf({names: [], moments: []}, now, "metrics", at).length, 1, "without a history there is now");
equal(framesOf(history, null, "metrics", at).length, 24, "or the history alone");

equal(nearestFrame(frames, T0 * 1000 + 299000), 1, "nearest");
equal(nearestFrame(frames, 0), 0, "before all");
equal(nearestFrame([], 0), -1, "of none");
equal(valueIn(frames[0], "z"), {value: 0, known: true}, "a name that is not there had nothing where all are listed");
equal(valueIn(frames[21], "z"), {value: 7, known: false}, "else some at most");

equal(rowsOf(frames, 24).map(r => [r.name, r.rank, r.value, r.hour, r.day]), [["c", 1, 5000, 0, null], ["a", 2, 74, 62, null]], "rows of now have what the server says");
equal(rowsOf(frames, 20).map(r => [r.name, r.hour]), [["a", 58], ["c", 0]], "of a moment, what the history says of an hour before");
equal(rowsOf(frames, 3)[0].hour, null, "nothing is made up of before it began");
equal(rowsOf(frames, 99), [], "no such moment");
equal(seriesBefore(frames, 24), [110, null], "all series of now");
equal(seriesBefore(frames, 20), [108, null], "and of then");
const pause = frames.map((f, i) => (i === 18 ? {...f, since: f.time - 60e3} : f));
equal([restarted(pause, 24, 3600e3), restarted(pause, 17, 3600e3), restarted(pause, 24, 1200e3), restarted(frames, 24, 86400e3)], [true, false, false, false], "a gap is a time without a server");
equal(burst(frames), 20, "where it began");
equal(burst(frames.slice(0, 20)), -1, "where nothing stands out");
equal(burst([]), -1, "of nothing");

equal(growth(15, 10), {way: 1, by: 5, ratio: 0.5, least: false}, "up");
equal(growth(5, 10), {way: -1, by: -5, ratio: -0.5, least: false}, "down");
equal(growth(5, 5).way, 0, "the same");
equal(growth(5, 0), {way: 1, by: 5, ratio: null, least: false}, "new");
equal(growth(5, null), null, "not known");
equal(growth(50, {atMost: 10}), {way: 1, by: 40, ratio: 4, least: true}, "at least so much, where it was not listed");
equal(growth(15, {atMost: 10}), null, "or nobody can say");
ok(matches("Requests_total", "req TOT") && !matches("requests_total", "req -total") && matches("x", " - "), "words of a filter");

equal(selectorOf({metric: "up"}), "up", "a metric");
equal(selectorOf({metric: "http.req", label: "code"}), '{"http.req", code!=""}', "names beyond the plain ones are quoted");
equal(selectorOf({label: "user id", value: 'a"b\\'}), '{"user id"="a\\"b\\\\"}', "so are labels, and values are escaped");
equal(selectorOf({metric: "a:b", label: "code", value: ""}), 'a:b{code=""}', "an empty value");
equal(partsOf("pairs", "__name__=up"), {metric: "up"}, "a pair of the name is a metric");
equal(partsOf("pairs", "path=/a=b"), {label: "path", value: "/a=b"}, "the first sign divides");
equal(partsOf("targets", "instance=h:1"), {label: "instance", value: "h:1"}, "a target");

equal([boundOf(null), boundOf(0), boundOf(3), boundOf(140), boundOf(1234), boundOf(9e9)], [1000, 1000, 10, 300, 3000, 1e6], "bounds");
const rules = rulesFor({metric: "http.req", label: "user_id"}, "", 1000);
equal(rules.card, 'tenants:\n  default:\n    cardinality:\n    - {metric: "http\\\\.req", label: user_id, max_values: 1000, action: replace}\n', "a rule of a label of a metric");
equal(rules.relabel, 'tenants:\n  default:\n    relabel_configs:\n    - {source_labels: [__name__], regex: "http\\\\.req", target_label: user_id, replacement: ""}\n', "and without the label");
ok(rulesFor({label: "pod uid"}, "a-b", 10).card.includes('"a-b":\n') && rulesFor({label: "pod uid"}, "a-b", 10).card.includes('{label: "pod uid", max_values: 10'), "odd names are quoted");
ok(rulesFor({label: "pod"}, "x", 10).relabel.includes('{regex: "pod", action: labeldrop}'), "a label of all metrics is dropped");
ok(rulesFor({metric: "m"}, "x", 500).card.includes("per: metric, max_series: 500, action: refuse"), "series of a metric");
equal(rulesFor({target: true}, "x", 500).relabel, null, "a target is bounded alone");
ok(rulesFor({label: "__name__"}, "x", 500).card.includes("label: __name__, max_values: 500, action: refuse"), "names of metrics");

equal(explosionOf({kind: "label_of_metric", metric: "m", label: "l"}).parts, {metric: "m", label: "l"}, "what explodes");
equal(explosionOf({kind: "label", metric: "", label: "__name__"}).what, ["Names of metrics"], "metrics themselves");
equal(explosionOf({kind: "rule", rule: 2, action: "refuse", metric: "", label: "l", target: ""}).what, ["Rule 2 (refuse) acts on ", "label ", ["l"]], "a rule that acts");

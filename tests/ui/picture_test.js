/* Units, guessed from the names in an expression; what is drawn of which series. */
import {equal, stage} from "./tap.js";
import {boundUnitOf, picture, unitOf} from "/ui/views/picture.js";

equal(["rate(http_request_seconds_bucket[5m])", "sum by (le) (increase(rpc_size_bytes_bucket{job=\"a\"}[1h]))", "rate(latency_seconds[1m])", "up", "1 + 1"].map(boundUnitOf),
	["seconds", "bytes", "seconds", "short", "short"], "the bounds of buckets have the metric's own unit, whatever is done with their counts");
equal(["rate(cpu_seconds_total[5m])", "node_memory_free_bytes", "rate(net_receive_bytes_total[5m])", "count(a_bytes)", "histogram_quantile(0.9, rate(a_seconds_bucket[5m]))", "process_start_time_seconds"].map(unitOf),
	["short", "bytes", "bytes", "short", "seconds", "short"], "what values are");

const labels = {__name__: "m", job: "x"}, nan = {metric: labels, values: [[1700000000, "NaN"], [1700000015, "NaN"]]};
const shown = async result => {
	const g = picture({zone: () => "utc", onZoom() {}, onHeat() {}});
	stage(800, 400).append(g.el);
	await g.show(result, {from: 1700000000e3, to: 1700000015e3, step: 15e3, expr: "m"});
	const text = g.el.textContent;
	g.destroy();
	return [/native histogram/.test(text), /job/.test(text)];
};
equal(await shown([nan]), [false, true], "a series of NaN alone is no histogram, and stands in the legend");
equal(await shown([{metric: labels, histograms: [[1700000000, {count: "1", sum: "1", buckets: []}]]}]), [true, false], "a histogram is one");

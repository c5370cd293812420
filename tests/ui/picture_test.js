/* Units, guessed from the names in an expression. */
import {equal} from "./tap.js";
import {boundUnitOf, unitOf} from "/ui/views/picture.js";

equal(["rate(http_request_seconds_bucket[5m])", "sum by (le) (increase(rpc_size_bytes_bucket{job=\"a\"}[1h]))", "rate(latency_seconds[1m])", "up", "1 + 1"].map(boundUnitOf),
	["seconds", "bytes", "seconds", "short", "short"], "the bounds of buckets have the metric's own unit, whatever is done with their counts");
equal(["rate(cpu_seconds_total[5m])", "node_memory_free_bytes", "rate(net_receive_bytes_total[5m])", "count(a_bytes)", "histogram_quantile(0.9, rate(a_seconds_bucket[5m]))", "process_start_time_seconds"].map(unitOf),
	["short", "bytes", "bytes", "short", "seconds", "short"], "what values are");

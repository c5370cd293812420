/* Numbers for people. */
import {equal} from "./tap.js";
import {bytes, count, exact, percent, perSecond, seconds, short} from "/ui/lib/figure.js";

const rows = (name, fn, pairs) => {
	for (const [v, text] of pairs)
		equal(fn(v), text, `${name}(${v}) is ${text}`);
};
rows("short", short, [[0, "0"], [-0, "0"], [1, "1"], [12.345, "12.3"], [999, "999"], [999.6, "1k"], [1000, "1k"], [1234, "1.23k"], [1234567, "1.23M"], [-1234567, "-1.23M"], [999999, "1M"],
	[1e9, "1G"], [1.5e12, "1.5T"], [1e15, "1P"], [2.5e17, "250P"], [1e18, "1e+18"], [1.234e30, "1.23e+30"], [0.1, "0.1"], [0.123456, "0.123"], [0.00012345, "0.000123"], [1e-6, "1e-6"], [1.25e-9, "1.25e-9"],
	[NaN, "NaN"], [Infinity, "+Inf"], [-Infinity, "-Inf"], [null, ""], [undefined, ""], [100, "100"], [1100, "1.1k"]]);
rows("exact", exact, [[1234567.25, "1234567.25"], [0.1, "0.1"], [NaN, "NaN"], [-Infinity, "-Inf"]]);
rows("count", count, [[1234567, "1,234,567"], [0, "0"], [12.6, "13"]]);
rows("bytes", bytes, [[0, "0 B"], [1, "1 B"], [1023, "1023 B"], [1024, "1 KiB"], [1536, "1.5 KiB"], [1048576, "1 MiB"], [5.5 * 2 ** 30, "5.5 GiB"], [2 ** 41, "2 TiB"], [1000 * 1024, "1000 KiB"], [-2048, "-2 KiB"]]);
rows("seconds", seconds, [[0, "0 s"], [1, "1 s"], [0.00123, "1.23 ms"], [0.0000456, "45.6 \u00b5s"], [1e-9, "1 ns"], [90, "1.5 min"], [5400, "1.5 h"], [86400, "1 d"], [864000, "10 d"], [0.9996, "1 s"], [1e-12, "0.001 ns"]]);
rows("percent", percent, [[0, "0%"], [0.1234, "12.3%"], [1, "100%"], [0.0001, "<0.1%"], [2.5, "250%"]]);
rows("perSecond", perSecond, [[1234567, "1.23M/s"], [0, "0/s"], [NaN, "NaN"], [null, ""]]);

/* Rows of a result: names, columns, filter, order, and how they are written for elsewhere. */
import {equal, ok} from "./tap.js";
import {asCsv, asJson, asText, columnsOf, filtered, histogramOf, natural, rowsOf, sorted} from "/ui/views/rows.js";


const vector = (...list) => ({resultType: "vector", result: list.map(([metric, v]) => ({metric, value: [10.5, v]}))});
const rows = rowsOf(vector([{__name__: "m", i: "b10", j: "x"}, "3"], [{__name__: "m", i: "b2", j: "x"}, "NaN"], [{__name__: "m", i: "a"}, "-Inf"], [{__name__: "m", i: "A", j: "x"}, "20"]));
equal(columnsOf(rows), {common: [["__name__", "m"]], columns: ["i", "j"]}, "a label that one lacks is not common");
equal(columnsOf(rows.slice(0, 1)).columns, [], "one row differs from none");
equal(columnsOf([]), {common: [], columns: []}, "no rows");
const names = list => list.map(r => r.labels.i);
equal(names(sorted(rows, "", -1)), ["A", "b10", "a", "b2"], "by value, NaN last");
equal(names(sorted(rows, "", 1)), ["a", "b10", "A", "b2"], "upwards, too");
equal(names(sorted(rows, "i", 1)), ["a", "A", "b2", "b10"], "by label, numbers in it count");
equal(sorted(rows, "i", 0), rows, "as the server sent them");
equal(names(filtered(rows, "B j=\"X")), ["b10", "b2"], "all words, without case");
equal(names(filtered(rows, "-b2 -i=\"a")), ["b10"], "words that must not be there");
equal(filtered(rows, "  - "), rows, "no words");

equal(rowsOf({resultType: "scalar", result: [1, "5"]}).map(r => [r.number, r.values]), [[5, [[1, "5"]]]], "a scalar");
const matrix = rowsOf({resultType: "matrix", result: [{metric: {__name__: "m"}, values: [[1, "1"], [2, "2"]], histograms: [[3, {count: "4", sum: "5"}]]}]});
equal(matrix[0].number, 2, "a series of a matrix counts by its last value");
equal(asText(matrix, true), "m\n  1 @1\n  2 @2\n  {count:4, sum:5} @3\n", "its text");
equal(asText(rows.slice(0, 1), false), 'm{i="b10", j="x"} 3\n', "a vector's");
equal(asCsv(rowsOf(vector([{__name__: "m", a: "x,\"y\""}, "1"], [{__name__: "m", a: "=1+1"}, "-2"]))),
	'name,a,timestamp,value\r\nm,"x,""y""",10.5,1\r\nm,"\'=1+1",10.5,-2\r\n', "CSV, quoted; a formula is text");
const odd = rowsOf(vector([JSON.parse('{"__name__":"m","constructor":"a","__proto__":"b"}'), "1"], [{__name__: "m"}, "2"]));
equal(columnsOf(odd).columns, ["__proto__", "constructor"], "labels that objects have by nature are labels");
equal(asCsv(odd), 'name,__proto__,constructor,timestamp,value\r\nm,b,a,10.5,1\r\nm,,,10.5,2\r\n', "and nothing where there is none");
equal([sorted(odd, "constructor", 1), natural(odd, "m")].map(list => list.map(r => r.number)), [[2, 1], [2, 1]], "nor do they order what has none");
equal(asCsv(rowsOf(vector(...["-1+1|x", "+1-2", "-1e5", "+Inf", "-Inf", "-x"].map(a => [{a}, "-1.5e-7"])))).split("\r\n").slice(1, 7).map(l => l.replace(",10.5,-1.5e-7", "")),
	["\"'-1+1|x\"", "\"'+1-2\"", "-1e5", "+Inf", "-Inf", "\"'-x\""], "a formula may begin like a number");
const long = rowsOf(vector(...Array.from({length: 20001}, (_, i) => [{i: String(-i)}, "1"])));
equal([natural(long, "m")[0].name, natural(long.slice(1), "m")[0].name, sorted(long, "i", 1)[0].name], ['{i="0"}', '{i="-20000"}', '{i="-20000"}'], "what is too long to read stays as it came, until somebody wants it otherwise");
equal(sorted(rowsOf(vector([{i: "1.0"}, "1"], [{i: "01"}, "2"], [{i: ""}, "3"], [{i: "b"}, "4"], [{i: "1"}, "5"])), "i", -1).map(r => r.number), [4, 1, 2, 5, 3], "values that are one number keep their order");
equal(asCsv(matrix).split("\r\n").length, 5, "a line for each sample");
const back = [{metric: {__name__: "m", i: "b10", j: "x"}, value: [10.5, "3"]}];
equal(JSON.parse(asJson(rows.slice(0, 1), false)), back, "JSON as the API has it");
equal(JSON.parse(asJson(matrix, true)), [{metric: {__name__: "m"}, values: [[1, "1"], [2, "2"]], histograms: [[3, {count: "4", sum: "5"}]]}], "a matrix");

const h = histogramOf({count: "3", sum: "1.5", buckets: [[0, "1", "2", "1"], [3, "-0.1", "0.1", "2"], [1, "-2", "-1", "0"], [2, "5", "+Inf", "0"]]});
equal(h.buckets.map(b => b.label), ["(1, 2]", "[-0.1, 0.1]", "[-2, -1)", "(5, +Inf)"], "bounds of buckets");
ok(h.buckets[3].to === Infinity && h.buckets[0].count === 1, "in numbers");

const les = rowsOf(vector([{__name__: "b", le: "+Inf"}, "1"], [{__name__: "b", le: "10"}, "1"], [{__name__: "b", le: "0.1"}, "1"], [{__name__: "b", le: "0.05"}, "1"], [{__name__: "b", le: "9"}, "1"], [{__name__: "b"}, "1"]));

equal(natural(les, "b").map(r => r.labels.le), [undefined, "0.05", "0.1", "9", "10", "+Inf"], "rows stand in order; bounds of buckets are numbers");
equal(natural(les, "topk(3, b)"), les, "but where the expression orders them");

equal(asCsv(rowsOf({resultType: "vector", result: [{metric: {__name__: "m", name: "n", value: "v"}, value: [1, "2"]}]})).split("\r\n")[0],
	"__name__,name,value,timestamp,__value__", "CSV: no two columns have one name");
equal(sorted(rowsOf({resultType: "vector", result: ["10", "+inf", "0.1"].map(le => ({metric: {le}, value: [1, "2"]}))}), "le", 1).map(r => r.labels.le), ["0.1", "10", "+inf"], "le as numbers, however infinity is written");

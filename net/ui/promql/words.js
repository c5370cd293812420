/*
 * words - what PromQL can call: functions and aggregations with their arguments and a sentence about
 * each, keywords, units of durations.
 *
 * The tables are text, a row a line, because that is short on the wire and easy to hold against
 * core/promql/lang/ql_func.def: tests/unit/core/t_uiwords.c does so, row by row. A row is
 *     name(argument: type, argument: type): result text
 * where "argument?" may be left out, "argument*" may come any number of times, "argument*10" one to ten
 * times, and "!" behind the result says that the function is experimental.
 */
const FUNCTIONS = `
abs(v: vector): vector The value without its sign.
absent(v: vector): vector 1 when nothing matches, otherwise nothing: for alerts on what is missing.
absent_over_time(v: range): vector 1 when there is no sample in the whole range, otherwise nothing.
acos(v: vector): vector Arc cosine, in radians.
acosh(v: vector): vector Inverse hyperbolic cosine.
asin(v: vector): vector Arc sine, in radians.
asinh(v: vector): vector Inverse hyperbolic sine.
atan(v: vector): vector Arc tangent, in radians.
atanh(v: vector): vector Inverse hyperbolic tangent.
avg_over_time(v: range): vector Mean of all samples in the range; each weighs the same.
ceil(v: vector): vector Rounds up to the next integer.
changes(v: range): vector How often the value changed within the range.
clamp(v: vector, min: scalar, max: scalar): vector Holds values between min and max; nothing when min is above max.
clamp_max(v: vector, max: scalar): vector Values above max become max.
clamp_min(v: vector, min: scalar): vector Values below min become min.
cos(v: vector): vector Cosine of radians.
cosh(v: vector): vector Hyperbolic cosine.
count_over_time(v: range): vector How many samples the range holds.
day_of_month(v?: vector): vector Day of the month in UTC, 1 to 31; without an argument that of the evaluation.
day_of_week(v?: vector): vector Day of the week in UTC, 0 is Sunday.
day_of_year(v?: vector): vector Day of the year in UTC, 1 to 366.
days_in_month(v?: vector): vector How many days the month has, 28 to 31, in UTC.
deg(v: vector): vector Radians to degrees.
delta(v: range): vector Last minus first value, extended to the edges of the range. For gauges.
deriv(v: range): vector Slope per second of a straight line through the samples (least squares). For gauges.
double_exponential_smoothing(v: range, sf: scalar, tf: scalar): vector! Smoothed value with a trend: lower sf weighs old samples more, higher tf follows the trend more.
end(): scalar! End of the query's range, Unix seconds.
exp(v: vector): vector e to the power of the value.
first_over_time(v: range): vector The oldest sample in the range.
floor(v: vector): vector Rounds down to the next integer.
histogram_avg(v: vector): vector Mean of what a native histogram observed.
histogram_count(v: vector): vector How many observations a native histogram holds.
histogram_fraction(lower: scalar, upper: scalar, b: vector): vector Share of observations between lower and upper, 0 to 1.
histogram_quantile(q: scalar, b: vector): vector Estimates the quantile q (0 to 1) of a histogram: native, or classic by its label le.
histogram_quantiles(v: vector, label: string, q*10: scalar): vector! Several quantiles at once, each with its number in the label named.
histogram_stddev(v: vector): vector Estimated standard deviation of a native histogram's observations.
histogram_stdvar(v: vector): vector Estimated variance of a native histogram's observations.
histogram_sum(v: vector): vector Sum of what a native histogram observed.
hour(v?: vector): vector Hour of the day in UTC, 0 to 23.
idelta(v: range): vector Last value minus the one before it. For gauges.
increase(v: range): vector Growth of a counter over the range; resets are seen, edges extrapolated, so it may be fractional.
info(v: vector, labels?: vector): vector! Adds labels of the info series (target_info) that belong to each series.
irate(v: range): vector Growth per second between the last two samples of a counter: quick, and nervous.
label_join(v: vector, dst: string, separator: string, src*: string): vector Writes the values of the labels src, joined by the separator, into the label dst.
label_replace(v: vector, dst: string, replacement: string, src: string, regex: string): vector Where the regex matches all of label src, sets dst to the replacement ($1 is the first group).
last_over_time(v: range): vector The newest sample in the range.
ln(v: vector): vector Natural logarithm.
log10(v: vector): vector Logarithm to base 10.
log2(v: vector): vector Logarithm to base 2.
mad_over_time(v: range): vector! Median of the distances from the median: spread that outliers do not bend.
max_of(a: scalar, b: scalar): scalar! The larger of two numbers.
max_over_time(v: range): vector The largest value in the range.
min_of(a: scalar, b: scalar): scalar! The smaller of two numbers.
min_over_time(v: range): vector The smallest value in the range.
minute(v?: vector): vector Minute of the hour in UTC, 0 to 59.
month(v?: vector): vector Month of the year in UTC, 1 to 12.
pi(): scalar The number pi.
predict_linear(v: range, seconds: scalar): vector The value that many seconds from now, if the line through the samples goes on. For gauges.
present_over_time(v: range): vector 1 for each series that has a sample in the range.
quantile_over_time(q: scalar, v: range): vector The quantile q (0 to 1) of the values in the range.
rad(v: vector): vector Degrees to radians.
range(): scalar! Length of the query's range in seconds, 0 for an instant.
rate(v: range): vector Growth per second of a counter, mean over the range; resets are seen, edges extrapolated.
resets(v: range): vector How often a counter fell within the range.
round(v: vector, nearest?: scalar): vector Rounds to the nearest multiple (1 when left out); halves go up.
scalar(v: vector): scalar The value of the only series as a number; NaN when there is not exactly one.
sgn(v: vector): vector Sign: 1, 0 or -1.
sin(v: vector): vector Sine of radians.
sinh(v: vector): vector Hyperbolic sine.
sort(v: vector): vector Orders by value, smallest first; instant queries only.
sort_by_label(v: vector, label*: string): vector! Orders by the labels' values, numbers in them as numbers; instant queries only.
sort_by_label_desc(v: vector, label*: string): vector! As sort_by_label, backwards.
sort_desc(v: vector): vector Orders by value, largest first; instant queries only.
sqrt(v: vector): vector Square root.
start(): scalar! Start of the query's range, Unix seconds.
start_timestamp(v: vector): vector! When each series' counting began (its start timestamp), Unix seconds.
stddev_over_time(v: range): vector Standard deviation of the values in the range.
stdvar_over_time(v: range): vector Variance of the values in the range.
step(): scalar! The query's step in seconds, 0 for an instant.
sum_over_time(v: range): vector Sum of all values in the range.
tan(v: vector): vector Tangent of radians.
tanh(v: vector): vector Hyperbolic tangent.
time(): scalar Time of the evaluation, Unix seconds.
timestamp(v: vector): vector When each sample was taken, Unix seconds.
ts_of_first_over_time(v: range): vector! When the oldest sample in the range was taken.
ts_of_last_over_time(v: range): vector! When the newest sample in the range was taken.
ts_of_max_over_time(v: range): vector! When the largest value in the range was last seen.
ts_of_min_over_time(v: range): vector! When the smallest value in the range was last seen.
vector(s: scalar): vector A number as one series without labels.
year(v?: vector): vector Year in UTC.
`;

const AGGREGATIONS = `
avg(v: vector): vector Mean of each group.
bottomk(k: scalar, v: vector): vector The k smallest series of each group, with all their labels.
count(v: vector): vector How many series each group has.
count_values(label: string, v: vector): vector How many series have each value; the value goes into the label.
group(v: vector): vector 1 for each group: which groups there are.
limit_ratio(ratio: scalar, v: vector): vector! A fixed sample of the series: that share of them, a negative ratio the others.
limitk(k: scalar, v: vector): vector! Any k series of each group.
max(v: vector): vector Largest value of each group.
min(v: vector): vector Smallest value of each group.
quantile(q: scalar, v: vector): vector The quantile q (0 to 1) over the series of each group.
stddev(v: vector): vector Standard deviation over the series of each group.
stdvar(v: vector): vector Variance over the series of each group.
sum(v: vector): vector Sum of each group.
topk(k: scalar, v: vector): vector The k largest series of each group, with all their labels.
`;

/* Words of the grammar: name, what stands behind it when it is inserted ("()": the caret goes inside), text. */
const KEYWORDS = `
and: Series of the left side that have a partner on the right.
or: All of the left side, and of the right side what has no partner.
unless: Series of the left side without a partner on the right.
atan2: Arc tangent of left / right, in radians.
by(): Groups by these labels, all others are dropped.
without(): Groups by all labels but these.
on(): Partners are found by these labels only.
ignoring(): Partners are found by all labels but these.
group_left(): Many on the left may have the same partner on the right, whose labels named here are added.
group_right(): Many on the right may have the same partner on the left.
bool: A comparison gives 0 or 1 instead of filtering.
offset : The samples of so long ago.
anchored: Experimental: the range takes in the sample before it, nothing is extrapolated.
smoothed: Experimental: values at the edges of the range are interpolated.
fill(): Experimental: the value of a missing partner, on either side.
fill_left(): Experimental: the value of a missing partner on the left.
fill_right(): Experimental: the value of a missing partner on the right.
`;

export const UNITS = { ms: "milliseconds", s: "seconds", m: "minutes", h: "hours", d: "days", w: "weeks", y: "years of 365 days" };

/* "v?: vector" -> {name, type, least, most}: how often it may come. */
const argument = (text) => {
	const [, name, mark, most, type] = /^(\w+)([?*]?)(\d*): (\w+)$/.exec(text);
	return { name, type, least: mark === "?" || (mark && !most) ? 0 : 1, most: mark === "*" ? Number(most) || Infinity : 1 };
};

const row = (kind) => (line) => {
	const [, name, args, result, experimental, doc] = /^(\w+)\((.*?)\): (\w+)(!?) (.*)$/.exec(line);
	return [name, { name, kind, args: args ? args.split(", ").map(argument) : [], result, experimental: !!experimental, doc }];
};
const rows = (text, read) => new Map(text.trim().split("\n").map(read));

/* name -> {name, kind, args: [{name, type, least, most}], result, experimental, doc} */
export const functions = rows(FUNCTIONS, row("func"));
export const aggregations = rows(AGGREGATIONS, row("aggr"));

/* name -> {name, kind, behind, doc} */
export const keywords = rows(KEYWORDS, (line) => {
	const [, name, behind, doc] = /^(\w+)(\(\)| ?): (.*)$/.exec(line);
	return [name, { name, kind: "keyword", behind, doc }];
});

/* An argument as the signature shows it: "v range", "[nearest scalar]", "src string, ..." */
const shown = (a) => {
	const text = `${a.name} ${a.type}`;
	return a.most > 1 ? `${text}, ...` : a.least ? text : `[${text}]`;
};

/*
 * The signature in parts, so that one argument can be shown as the one being written:
 * [{text, at: number of the argument or -1}].
 */
export const signature = (word) => {
	const parts = [{ text: `${word.name}(`, at: -1 }];
	word.args.forEach((a, i) => parts.push({ text: shown(a), at: i }, { text: ", ", at: -1 }));
	if (word.args.length)
		parts.pop();
	parts.push({ text: `): ${word.result}`, at: -1 });
	return parts;
};

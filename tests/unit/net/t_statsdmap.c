#include "tests/lib/tap.h"

#include "core/base/hash.h"
#include "net/recv/statsdconf.h"
#include "net/recv/statsdroute.h"

#include <stdio.h>
#include <string.h>

static struct buf text;
static struct yaml_keep keep;
static struct statsd_conf conf;

/* The section of the configuration; NULL when it is fine, else the first mistake. */
static const char *take(const char *section)
{
	static char told[400];
	struct buf b;
	yaml_keep_init(&keep);
	statsd_conf_default(&conf);
	struct yaml *y = yaml_open("k.yml", section, strlen(section), &keep);
	bool fine = yaml_walk(y, yaml_root(y), &statsd_conf_schema, &conf) &&
	    statsd_conf_make(&conf, y, yaml_root(y));
	buf_init(&b);
	if (!fine)
		yaml_tell(y, &b);
	size_t n = b.len < sizeof(told) ? b.len : sizeof(told) - 1;
	if (n)
		memcpy(told, b.data, n);
	told[n] = 0;
	buf_release(&b);
	yaml_close(y);
	return fine ? NULL : told;
}

static void leave(void)
{
	statsd_conf_release(&conf);
	yaml_keep_release(&keep);
}

/* "name{label=value}" of a name, or "none", or "drop". */
static const char *mapped(const char *name, enum statsd_metric metric)
{
	struct statsd_match m;
	buf_clear(&text);
	if (!statsd_map_find(conf.map, name, strlen(name), metric, &m)) {
		buf_add_str(&text, "none");
	} else if (m.rule->drop) {
		buf_add_str(&text, "drop");
	} else {
		statsd_map_expand(&m, m.rule->name, &text);
		for (size_t i = 0; i < m.rule->labels.count; i++) {
			buf_printf(&text, "%s%s=", i ? "," : "{", m.rule->labels.items[i].name);
			statsd_map_expand(&m, m.rule->labels.items[i].value, &text);
		}
		if (m.rule->labels.count)
			buf_add_u8(&text, '}');
	}
	buf_add_u8(&text, 0);
	return (const char *)text.data;
}

static void is(const char *name, enum statsd_metric metric, const char *want)
{
	tap_is_str(mapped(name, metric), want, "%s", name);
}

static void globs(void)
{
	const char *bad = take("mappings:\n"
	                       "- {match: a.*.c, name: first, labels: {x: $1, y: '${2}'}}\n"
	                       "- {match: a.b.c, name: second}\n"
	                       "- {match: a.b.*, name: third_$1, match_metric_type: gauge}\n"
	                       "- {match: a.b.*, name: fourth_$1}\n"
	                       "- {match: '*.*', name: '${1}_x', labels: {all: $0, odd: $1x}}\n"
	                       "- {match: gone.*.*, name: gone, action: drop}\n"
	                       "- {match: t, name: timer, match_metric_type: timer}\n");
	tap_ok(!bad, "globs: %s", bad ? bad : "");
	if (bad)
		return;
	is("a.b.c", STATSD_IS_COUNTER, "first{x=b,y=}");
	is("a..c", STATSD_IS_COUNTER, "first{x=,y=}");
	is("a.b.d", STATSD_IS_COUNTER, "fourth_d");
	is("a.b.d", STATSD_IS_GAUGE, "third_d");
	is("a.b", STATSD_IS_GAUGE, "a_x{all=a.b,odd=}");
	is("a.b.c.d", STATSD_IS_GAUGE, "none");
	is("a", STATSD_IS_GAUGE, "none");
	is("gone.1.2", STATSD_IS_OBSERVER, "drop");
	is("t", STATSD_IS_OBSERVER, "timer");
	is("t", STATSD_IS_COUNTER, "none");
	is("", STATSD_IS_COUNTER, "none");
	leave();
}

static void literal_first(void)
{
	const char *bad = take("defaults: {glob_disable_ordering: true}\nmappings:\n"
	                       "- {match: a.*.*, name: loose}\n"
	                       "- {match: a.*.c, name: middle}\n"
	                       "- {match: a.b.c, name: exact}\n"
	                       "- {match: a.b.*, name: end}\n"
	                       "- {match: a.x.d, name: dead}\n");
	tap_ok(!bad, "without order: %s", bad ? bad : "");
	if (bad)
		return;
	is("a.b.c", STATSD_IS_COUNTER, "exact");
	is("a.b.d", STATSD_IS_COUNTER, "end");
	is("a.z.c", STATSD_IS_COUNTER, "middle");
	is("a.x.e", STATSD_IS_COUNTER, "loose");
	leave();
}

static void expressions(void)
{
	const char *bad = take(
	    "defaults: {match_type: regex}\nmappings:\n"
	    "- {match: '^web\\.(\\w+)\\.(.*)$', name: web, labels: {host: $1, rest: $2}}\n"
	    "- {match: '(a|b)+c', name: found_$1, labels: {all: $0, odd: $1x, end: '$1-$$1'}}\n"
	    "- {match: web.x.y, name: glob, match_type: glob}\n"
	    "- {match: '.', name: rest, action: drop}\n");
	tap_ok(!bad, "expressions: %s", bad ? bad : "");
	if (bad)
		return;
	is("web.h1.a.b", STATSD_IS_COUNTER, "web{host=h1,rest=a.b}");
	is("web.x.y", STATSD_IS_COUNTER, "glob");
	is("xxabacxx", STATSD_IS_COUNTER, "found_a{all=abac,odd=,end=a-$1}");
	is("zzz", STATSD_IS_COUNTER, "drop");
	leave();
}

static void mistakes(void)
{
	static const struct {
		const char *section, *want;
	} cases[] = {
		{ "mappings: [{match: 'a*', name: x}]", "mappings[0]: \"a*\" is no glob" },
		{ "mappings: [{match: a, name: x}, {match: 1.b, name: y}]", "mappings[1]: \"1.b\"" },
		{ "mappings: [{match: a, name: 1x}]", "\"1x\" is no name of a metric" },
		{ "mappings: [{match: a, name: 'x-$1'}]", "is no name of a metric" },
		{ "mappings: [{match: a}]", "\"\" is no name of a metric" },
		{ "mappings: [{match: a, name: x, labels: {'a-b': c}}]", "is no name of a label" },
		{ "mappings: [{match: a, name: x, labels: {__name__: c}}]", "is no name of a label" },
		{ "mappings: [{match: '(', name: x, match_type: regex}]", "error parsing regexp" },
		{ "mappings: [{match: a, name: x, scale: y}]", "\"y\" is no number" },
		{ "mappings: [{match: a, name: x, match_metric_type: what}]", "what" },
		{ "defaults: {histogram_options: {buckets: [1, 1]}}", "1 stands there twice" },
		{ "defaults: {summary_options: {quantiles: [{quantile: 2}]}}", "from 0 to 1" },
		{ "listen: [{address: 'udp://nowhere'}]", "HOST:PORT" },
		{ "listen: [{address: 'unix://x'}]", "begins with /" },
		{ "listen: [{address: 'udp://:1'}, {address: 'udp://:1'}]", "stands there twice" },
		{ "listen: [{address: 'udp://:1', tenant: 'a b'}]", "tenant name" },
		{ "mapping_file: /nowhere/at/all.yml", "/nowhere/at/all.yml" },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *told = take(cases[i].section);
		tap_ok(told && strstr(told, cases[i].want), "%s: %s", cases[i].section,
		    told ? told : "fine");
		leave();
	}
}

static void options(void)
{
	const char *bad = take(
	    "defaults: {observer_type: summary, ttl: 5m, histogram_options: {buckets: [3, 1, 2]}}\n"
	    "mappings:\n"
	    "- {match: a, name: a, observer_type: histogram, scale: 0.5}\n"
	    "- {match: b, name: b, ttl: 1m, histogram_options: {buckets: [7]}}\n");
	struct statsd_match m;
	tap_ok(!bad, "options: %s", bad ? bad : "");
	if (bad)
		return;
	tap_ok(statsd_map_find(conf.map, "a", 1, STATSD_IS_OBSERVER, &m) &&
	        m.rule->options.type == STATSD_CLASSIC && m.rule->options.bounds.count == 3 &&
	        m.rule->options.bounds.v[0] == 1 && m.rule->options.bounds.v[2] == 3 &&
	        m.rule->ttl_ms == 300000 && m.rule->scale == 0.5,
	    "what a rule leaves unsaid is that of the defaults, bounds are sorted");
	tap_ok(statsd_map_find(conf.map, "b", 1, STATSD_IS_OBSERVER, &m) &&
	        m.rule->options.type == STATSD_SUMMARY && m.rule->options.bounds.count == 1 &&
	        m.rule->ttl_ms == 60000 && m.rule->options.quantiles.count == 3,
	    "what it says holds");
	leave();
}

/* ---- many rules against a loop over them ---- */

#define RULES 600u

static bool fits(const char *glob, const char *name)
{
	for (;;) {
		size_t g = strcspn(glob, "."), n = strcspn(name, ".");
		bool star = g == 1 && *glob == '*';
		if (!star && (g != n || memcmp(glob, name, n) != 0))
			return false;
		if (!glob[g] || !name[n])
			return glob[g] == name[n];
		glob += g + 1;
		name += n + 1;
	}
}

static void make_name(char *out, uint64_t rnd, bool glob)
{
	unsigned parts = 1 + rnd % 4;
	for (unsigned i = 0; i < parts; i++, rnd = hash_mix64(rnd)) {
		out += sprintf(out, i ? "." : "");
		out += glob && rnd % 3 == 0 ? sprintf(out, "*")
		                            : sprintf(out, "p%u", (unsigned)(rnd >> 8) % 5);
	}
}

static void many(void)
{
	static char globs[RULES][64];
	struct buf b;
	unsigned wrong = 0, found = 0;
	buf_init(&b);
	buf_add_str(&b, "mappings:\n");
	for (unsigned i = 0; i < RULES; i++) {
		make_name(globs[i], hash_mix64(i + 1), true);
		buf_printf(&b, "- {match: '%s', name: r%u}\n", globs[i], i);
	}
	buf_add_u8(&b, 0);
	const char *bad = take((const char *)b.data);
	tap_ok(!bad, "%u rules: %s", RULES, bad ? bad : "");
	for (unsigned i = 0; !bad && i < 20000; i++) {
		char name[64], want[16] = "none";
		make_name(name, hash_mix64(i + 77777), false);
		for (unsigned r = 0; r < RULES; r++)
			if (fits(globs[r], name)) {
				snprintf(want, sizeof(want), "r%u", r);
				found++;
				break;
			}
		wrong += strcmp(mapped(name, STATSD_IS_COUNTER), want) != 0;
	}
	tap_ok(!wrong && found > 1000, "a tree finds what a loop finds: %u wrong, %u found", wrong,
	    found);
	buf_release(&b);
	leave();
}

static void escapes(void)
{
	static const struct {
		const char *from, *to;
	} cases[] = { { "a.b-c", "a_b_c" }, { "1a", "_1a" }, { "a--b---c", "a_b_c" }, { "", "" },
		{ "\xc3\xa9x", "_x" }, { "a b/c:d", "a_b_c_d" }, { "-", "_" } };
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_clear(&text);
		statsd_map_escape(cases[i].from, strlen(cases[i].from), &text);
		buf_add_u8(&text, 0);
		tap_is_str((const char *)text.data, cases[i].to, "%s", cases[i].from);
	}
}

/* ---- values ---- */

static struct statsd_sample sample_of(const char *line)
{
	struct statsd_reader r;
	statsd_reader_init(&r, line, (uint32_t)strlen(line));
	CHECK(statsd_next(&r) == STATSD_SAMPLE);
	return r.sample;
}

static void values(void)
{
	struct statsd_route r = { .op = STATSD_OBSERVE, .scale = 1000 };
	struct statsd_sample s = sample_of("a:2|ms");
	double v;
	tap_ok(statsd_route_value(&r, &s, &v) && v == 2, "milliseconds, by a scale of 1,000");
	s = sample_of("a:1e306|h");
	tap_ok(!statsd_route_value(&r, &s, &v), "a scale makes it infinite");
	r = (struct statsd_route){ .op = STATSD_ADD, .scale = 1 };
	s = sample_of("a:3|c|@0.5");
	tap_ok(statsd_route_value(&r, &s, &v) && v == 6, "a rate");
	s = sample_of("a:1|c|@1e-320");
	tap_ok(!statsd_route_value(&r, &s, &v), "a rate makes it infinite");
}

int main(void)
{
	buf_init(&text);
	globs();
	literal_first();
	expressions();
	mistakes();
	options();
	many();
	escapes();
	values();
	buf_release(&text);
	return tap_done();
}

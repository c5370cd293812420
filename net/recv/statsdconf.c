#include "net/recv/statsdconf.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "core/base/num.h"
#include "core/model/tenant.h"
#include "net/conn/listen.h"

#define PATH_BYTES  (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define DOUBLES_MAX 1000u /* bounds or quantiles */

/* ---- addresses ---- */

static const char *const schemes[STATSD_TRANSPORTS] = { "udp://", "tcp://", "unixgram://", "unix://" };

const char *statsd_address(const char *text, enum statsd_transport *transport)
{
	for (unsigned i = 0; i < STATSD_TRANSPORTS; i++) {
		size_t n = strlen(schemes[i]);
		if (strncmp(text, schemes[i], n) != 0)
			continue;
		*transport = i;
		return text + n;
	}
	return NULL;
}

static bool check_address(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	enum statsd_transport t = STATSD_UDP;
	const char *rest = statsd_address(*(const char *const *)at, &t);
	(void)row;
	if (!rest)
		return yaml_fail(y, n,
		    "\"%s\": udp://HOST:PORT, tcp://HOST:PORT, unixgram://PATH or unix://PATH is wanted",
		    n->text);
	if (t == STATSD_UDP || t == STATSD_TCP)
		return listen_fits(rest) ||
		    yaml_fail(y, n,
		        "\"%s\": HOST:PORT or [IPV6]:PORT is wanted, PORT at most 65535", rest);
	if (*rest != '/')
		return yaml_fail(y, n, "\"%s\": the path of a socket begins with /", rest);
	return strlen(rest) <= PATH_BYTES ||
	    yaml_fail(y, n, "the path of a socket has %zu bytes, at most %zu can be", strlen(rest),
	        PATH_BYTES);
}

static bool check_tenant(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct errbuf eb;
	errbuf_init(&eb);
	(void)row, (void)at;
	return !tenant_name_check(n->text, n->len, &eb) || yaml_fail(y, n, "%s", eb.text);
}

static bool set_mode(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	char *end;
	(void)row;
	unsigned long mode = n->type == YAML_SCALAR ? strtoul(n->text, &end, 8) : ULONG_MAX;
	if (n->type != YAML_SCALAR || !n->len || *end || mode > 0777)
		return yaml_fail(y, n, "\"%s\" is no mode such as \"0660\"", n->text ? n->text : "");
	*(unsigned *)at = (unsigned)mode;
	return true;
}

static bool show_mode(struct buf *out, const struct yaml_row *row, const void *at)
{
	(void)row;
	buf_printf(out, "\"%04o\"", *(const unsigned *)at);
	return true;
}

static void usual_listen(void *item)
{
	((struct statsd_listen *)item)->mode = 0666;
}

#define LISTEN(field) offsetof(struct statsd_listen, field)
static const char *const dialect_words[] = { "statsd", "dogstatsd", NULL };
/* clang-format off */
static const struct yaml_row listen_rows[] = {
	{ .key = "address", .kind = YAML_TEXT, .off = LISTEN(address), .flags = YAML_NEEDED | YAML_START, .shape = "SCHEME://ADDRESS", .set = check_address, .help = "udp://HOST:PORT, tcp://HOST:PORT, unixgram://PATH or unix://PATH" },
	{ .key = "tenant", .kind = YAML_TEXT, .off = LISTEN(tenant), .flags = YAML_START, .set = check_tenant, .help = "whose samples they are [default]" },
	{ .key = "dialect", .kind = YAML_WORD, .off = LISTEN(dialect), .flags = YAML_START, .words = dialect_words, .help = "what +1 and -1 of a gauge are: statsd has them as changes, dogstatsd as values [statsd]" },
	{ .key = "mode", .kind = YAML_OWN, .off = LISTEN(mode), .flags = YAML_START, .set = set_mode, .show = show_mode, .shape = "MODE", .help = "permissions of a unix socket: who may write to it may send [\"0666\"]" },
};
/* clang-format on */
const struct yaml_schema statsd_listen_schema = { .rows = listen_rows,
	.count = COUNT_OF(listen_rows),
	.size = sizeof(struct statsd_listen),
	.name_off = SIZE_MAX,
	.usual = usual_listen };

/* ---- numbers of rules ---- */

static bool get_double(struct yaml *y, const struct yaml_node *n, double least, double *out)
{
	double v;
	if (n->type != YAML_SCALAR || num_parse_float(n->text, n->len, &v) || !isfinite(v))
		return yaml_fail(y, n, "\"%s\" is no number", n->type == YAML_SCALAR ? n->text : "");
	if (v < least)
		return yaml_fail(y, n, "%s is too small, at least %g is wanted", n->text, least);
	*out = v;
	return true;
}

static bool set_double(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)row;
	return get_double(y, n, -INFINITY, at);
}

static bool set_factor(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)row;
	return get_double(y, n, 1.002, at);
}

static bool show_double(struct buf *out, const struct yaml_row *row, const void *at)
{
	char text[NUM_FMT_MAX];
	double v = *(const double *)at;
	(void)row;
	if (v == 0)
		return false;
	buf_add(out, text, num_fmt_g(v, text));
	return true;
}

/* A list of numbers; of a map in it the number behind key. */
static bool get_doubles(
    struct yaml *y, const struct yaml_node *n, const char *key, struct statsd_doubles *out)
{
	if (n->type != YAML_LIST || !n->count || n->count > DOUBLES_MAX)
		return yaml_fail(y, n, "a list of 1 to %u numbers is wanted", DOUBLES_MAX);
	double *v = arena_array(&yaml_keep_of(y)->arena, n->count, sizeof(*v)), x = 0;
	size_t count = 0;
	for (const struct yaml_node *i = n->first; i; i = i->next) {
		const struct yaml_node *at = key && i->type == YAML_MAP ? yaml_child(i, key) : i;
		if (!at)
			return yaml_fail(y, i, "%s is missing", key);
		if (!get_double(y, at, -INFINITY, &x))
			return false;
		size_t to = count++;
		for (; to && v[to - 1] > x; to--)
			v[to] = v[to - 1];
		v[to] = x;
		if (to && v[to - 1] == x)
			return yaml_fail(y, at, "%s stands there twice", at->text);
	}
	*out = (struct statsd_doubles){ v, count };
	return true;
}

static bool show_doubles(struct buf *out, const struct yaml_row *row, const void *at)
{
	const struct statsd_doubles *d = at;
	char text[NUM_FMT_MAX];
	(void)row;
	for (size_t i = 0; i < d->count; i++) {
		buf_add_str(out, i ? ", " : "[");
		buf_add(out, text, num_fmt_g(d->v[i], text));
	}
	if (d->count)
		buf_add_u8(out, ']');
	return d->count > 0;
}

static bool set_bounds(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)row;
	return get_doubles(y, n, NULL, at);
}

static bool set_quantiles(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct statsd_doubles *d = at;
	(void)row;
	if (!get_doubles(y, n, "quantile", d))
		return false;
	if (d->v[0] >= 0 && d->v[d->count - 1] <= 1)
		return true;
	return yaml_fail(y, n, "a quantile is from 0 to 1");
}

/* ---- labels of rules ---- */

static bool set_labels(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct statsd_pairs *out = at;
	struct arena *a = &yaml_keep_of(y)->arena;
	(void)row;
	if (n->type != YAML_MAP && n->type != YAML_NULL)
		return yaml_fail(y, n, "a map of names and values is wanted");
	struct statsd_pair *items = arena_array(a, (size_t)n->count + 1, sizeof(*items));
	size_t count = 0;
	for (const struct yaml_node *i = n->first; i; i = i->next) {
		if (i->_repeated)
			continue;
		if (i->type != YAML_SCALAR)
			return yaml_fail(y, i, "a text is wanted");
		items[count++] = (struct statsd_pair){ arena_strndup(a, i->key, i->key_len),
			arena_strndup(a, i->text, i->len) };
	}
	*out = (struct statsd_pairs){ items, count };
	return true;
}

static bool show_labels(struct buf *out, const struct yaml_row *row, const void *at)
{
	const struct statsd_pairs *p = at;
	(void)row;
	for (size_t i = 0; i < p->count; i++) {
		buf_add_str(out, i ? ", " : "{");
		buf_printf(out, "%s: ", p->items[i].name);
		yaml_put_text(out, p->items[i].value);
	}
	if (p->count)
		buf_add_u8(out, '}');
	return p->count > 0;
}

/* ---- rules ---- */

#define RULE(field) offsetof(struct statsd_rule, field)
static const char *const observer_words[] = { "unsaid", "histogram", "summary", "native", NULL };
static const char *const match_words[] = { "unsaid", "glob", "regex", NULL };
static const char *const metric_words[] = { "any", "counter", "gauge", "observer", "set", NULL };
static const char *const action_words[] = { "map", "drop", NULL };

/* The first of the words stands for nothing said. */
static bool set_said(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_row word = *row;
	unsigned v = 0;
	word.kind = YAML_WORD;
	word.words++;
	word.set = NULL;
	word.off = 0;
	if (!yaml_set(y, n, &word, &v))
		return false;
	*(unsigned *)at = v + 1;
	return true;
}

static bool show_said(struct buf *out, const struct yaml_row *row, const void *at)
{
	unsigned v = *(const unsigned *)at;
	if (v)
		buf_add_str(out, row->words[v]);
	return v != 0;
}

static bool set_action(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_row word = *row;
	unsigned v = 0;
	word.kind = YAML_WORD;
	word.set = NULL;
	word.off = 0;
	if (!yaml_set(y, n, &word, &v))
		return false;
	*(bool *)at = v == 1;
	return true;
}

static bool show_action(struct buf *out, const struct yaml_row *row, const void *at)
{
	(void)row;
	buf_add_str(out, *(const bool *)at ? "drop" : "map");
	return true;
}

/* timer is what observer was called before. */
static bool set_metric(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	if (n->type != YAML_SCALAR || strcmp(n->text, "timer") != 0)
		return set_said(y, n, row, at);
	*(unsigned *)at = STATSD_IS_OBSERVER;
	return true;
}

static bool ignore(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	(void)y, (void)n, (void)row, (void)at;
	return true;
}

#define OPTION(field) offsetof(struct statsd_options, field)
/* clang-format off */
static const struct yaml_row histogram_rows[] = {
	{ .key = "buckets", .kind = YAML_OWN, .off = OPTION(bounds), .set = set_bounds, .show = show_doubles, .shape = "[NUMBER, ...]", .help = "upper bounds of the buckets of histograms [.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10]" },
	{ .key = "native_histogram_bucket_factor", .kind = YAML_OWN, .off = OPTION(factor), .set = set_factor, .show = show_double, .shape = "NUMBER", .help = "how much wider a native bucket is at most than the one before [1.1]" },
	{ .key = "native_histogram_max_buckets", .kind = YAML_COUNT, .off = OPTION(max_buckets), .least = 8, .most = 4096, .flags = YAML_LATER, .help = "buckets from the smallest to the largest value; before there are more, they are made wider [256]" },
};
static const struct yaml_schema histogram_schema = { .rows = histogram_rows, .count = COUNT_OF(histogram_rows) };
static const struct yaml_row summary_rows[] = {
	{ .key = "quantiles", .kind = YAML_OWN, .off = OPTION(quantiles), .set = set_quantiles, .show = show_doubles, .shape = "[NUMBER, ...]", .help = "quantiles of summaries; {quantile: NUMBER, error: NUMBER} is taken, too, but a value is always right to 1.1 % of itself [.5, .9, .99]" },
	{ .key = "max_age", .kind = YAML_DURATION, .off = OPTION(max_age_ms), .least = 1000, .most = 86400000, .flags = YAML_LATER, .help = "how long a value counts in quantiles [10m]" },
	{ .key = "age_buckets", .kind = YAML_COUNT, .off = OPTION(age_buckets), .least = 1, .most = 60, .flags = YAML_LATER, .help = "in how many steps values leave [5]" },
	{ .key = "buf_cap", .kind = YAML_OWN, .set = ignore, .shape = "N", .help = "of statsd_exporter; it changes nothing here" },
};
static const struct yaml_schema summary_schema = { .rows = summary_rows, .count = COUNT_OF(summary_rows) };
#define TTL(text) { .key = "ttl", .kind = YAML_DURATION, .off = RULE(ttl_ms), .flags = YAML_LATER, .help = text }
#define OBSERVERS { .key = "observer_type", .kind = YAML_OWN, .off = RULE(options.type), .words = observer_words, .set = set_said, .show = show_said, .shape = "histogram|summary|native", .help = "what becomes of timers, histograms and distributions [histogram]" }, \
	{ .key = "histogram_options", .kind = YAML_IN, .off = RULE(options), .sub = &histogram_schema, .help = "of observer_type: histogram and native" }, \
	{ .key = "summary_options", .kind = YAML_IN, .off = RULE(options), .sub = &summary_schema, .help = "of observer_type: summary" }
#define MATCH_TYPE { .key = "match_type", .kind = YAML_OWN, .off = RULE(match_type), .words = match_words, .set = set_said, .show = show_said, .shape = "glob|regex", .help = "glob has * for one part between dots; regex (RE2) matches anywhere in a name [glob]" }
static const struct yaml_row default_rows[] = {
	MATCH_TYPE,
	OBSERVERS,
	TTL("a series that nothing came for is ended with a stale marker after so long; 0s: never [1h]"),
	{ .key = "glob_disable_ordering", .kind = YAML_BOOL, .off = offsetof(struct statsd_rules, unordered), .help = "of globs the most literal one holds, not the first [false]" },
};
static const struct yaml_row rule_rows[] = {
	{ .key = "match", .kind = YAML_TEXT, .off = RULE(match), .flags = YAML_NEEDED, .help = "names of StatsD this rule is for" },
	MATCH_TYPE,
	{ .key = "match_metric_type", .kind = YAML_OWN, .off = RULE(metric), .words = metric_words, .set = set_metric, .show = show_said, .shape = "counter|gauge|observer|set", .help = "the only type this rule is for [any]" },
	{ .key = "name", .kind = YAML_TEXT, .off = RULE(name), .help = "name of the metric, with $1 or ${1} for what the first * or group stands for" },
	{ .key = "labels", .kind = YAML_OWN, .off = RULE(labels), .set = set_labels, .show = show_labels, .shape = "{NAME: VALUE, ...}", .help = "its labels, likewise; they come before tags of that name" },
	{ .key = "honor_labels", .kind = YAML_BOOL, .off = RULE(honor_labels), .help = "tags come before labels of that name [false]" },
	{ .key = "help", .kind = YAML_TEXT, .off = RULE(help), .help = "what the metric is, for /api/v1/metadata" },
	{ .key = "scale", .kind = YAML_OWN, .off = RULE(scale), .set = set_double, .show = show_double, .shape = "NUMBER", .help = "values are multiplied by it [1]" },
	OBSERVERS,
	TTL("a series that nothing came for is ended with a stale marker after so long [that of defaults]"),
	{ .key = "action", .kind = YAML_OWN, .off = RULE(drop), .words = action_words, .set = set_action, .show = show_action, .shape = "map|drop", .help = "drop leaves out what matches [map]" },
};
const struct yaml_schema statsd_default_schema = { .rows = default_rows, .count = COUNT_OF(default_rows) };
const struct yaml_schema statsd_rule_schema = { .rows = rule_rows, .count = COUNT_OF(rule_rows), .size = sizeof(struct statsd_rule), .name_off = SIZE_MAX };
static const struct yaml_row mapping_rows[] = { STATSD_MAPPING_ROWS(0) };
static const struct yaml_schema mapping_schema = { .rows = mapping_rows, .count = COUNT_OF(mapping_rows) };

static const struct yaml_row conf_rows[] = { STATSD_CONF_ROWS(0) };
/* clang-format on */
const struct yaml_schema statsd_conf_schema = { .rows = conf_rows, .count = COUNT_OF(conf_rows) };

/* ---- what is made of it ---- */

void statsd_conf_default(struct statsd_conf *c)
{
	*c = (struct statsd_conf){ .flush_ms = 10000,
		.memory_bytes = 64 << 20,
		.members = 65536,
		.connections = 1024,
		.receive_bytes = 8 << 20,
		.rules.defaults.ttl_ms = 3600000 };
}

static const struct yaml_node *nth(const struct yaml_node *list, size_t i)
{
	const struct yaml_node *n = list ? list->first : NULL;
	while (n && i--)
		n = n->next;
	return n;
}

static bool make_map(struct statsd_conf *c, const struct statsd_rules *rules, struct yaml *y,
    const struct yaml_node *section)
{
	struct errbuf eb;
	size_t which = 0;
	errbuf_init(&eb);
	if (!statsd_map_create(rules, &c->map, &which, &eb))
		return true;
	return yaml_fail(
	    y, nth(section ? yaml_child(section, "mappings") : NULL, which), "%s", eb.text);
}

/* The first mistake, as the one of the key that names the file. */
static bool tell_file(struct yaml *y, const struct yaml_node *at, struct yaml *file)
{
	struct buf b;
	buf_init(&b);
	yaml_tell(file, &b);
	size_t len = 0;
	while (len < b.len && b.data[len] != '\n')
		len++;
	yaml_fail(y, at, "%.*s%s", (int)len, (const char *)b.data,
	    yaml_failed(file) > 1 ? " (and others)" : "");
	buf_release(&b);
	return false;
}

static bool read_file(struct statsd_conf *c, struct yaml *y, const struct yaml_node *section)
{
	struct statsd_rules rules = { .defaults.ttl_ms = c->rules.defaults.ttl_ms };
	struct yaml *file = yaml_load(c->mapping_file, yaml_keep_of(y));
	bool fine = !yaml_failed(file) && yaml_walk(file, yaml_root(file), &mapping_schema, &rules) &&
	    make_map(c, &rules, file, yaml_root(file));
	if (!fine)
		tell_file(y, yaml_child(section, "mapping_file"), file);
	yaml_close(file);
	return fine;
}

static bool check_listen(const struct statsd_conf *c, struct yaml *y, const struct yaml_node *section)
{
	const struct statsd_listen *l = c->listen.items;
	const struct yaml_node *list = section ? yaml_child(section, "listen") : NULL;
	if (c->listen.count > STATSD_LISTEN_MAX)
		return yaml_fail(y, list, "%zu addresses, at most %u can be", c->listen.count,
		    STATSD_LISTEN_MAX);
	for (size_t i = 1; i < c->listen.count; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(l[i].address, l[j].address))
				return yaml_fail(
				    y, nth(list, i), "\"%s\" stands there twice", l[i].address);
	return true;
}

bool statsd_conf_make(struct statsd_conf *c, struct yaml *y, const struct yaml_node *section)
{
	if (!check_listen(c, y, section))
		return false;
	if (!c->mapping_file)
		return make_map(c, &c->rules, y, section);
	if (c->rules.items.count)
		return yaml_fail(y, yaml_child(section, "mappings"),
		    "they stand in mapping_file already, there or here");
	return read_file(c, y, section);
}

void statsd_conf_release(struct statsd_conf *c)
{
	statsd_map_free(c->map);
	c->map = NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool statsd_conf_same_start(const struct statsd_conf *a, const struct statsd_conf *b)
{
	const struct statsd_listen *x = a->listen.items, *y = b->listen.items;
	bool same = a->listen.count == b->listen.count && a->memory_bytes == b->memory_bytes &&
	    a->connections == b->connections && a->receive_bytes == b->receive_bytes;
	for (size_t i = 0; same && i < a->listen.count; i++)
		same = same_text(x[i].address, y[i].address) && same_text(x[i].tenant, y[i].tenant) &&
		    x[i].dialect == y[i].dialect && x[i].mode == y[i].mode;
	return same;
}

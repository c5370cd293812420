#include "core/base/metric.h"

#include "core/base/arena.h"
#include "core/base/metric_priv.h"
#include "core/base/num.h"

#include <stdio.h>

/*
 * Each thread has one block of cells, linked into a list that only grows; a cell is written by its
 * thread alone, so a relaxed load and store do, and no cache line is shared between writers. A
 * histogram takes METRIC_HIST_BOUNDS + 1 cells of counts and one of the sum.
 */
#define HIST_CELLS (METRIC_HIST_BOUNDS + 2)
#define HIST_SUM   (METRIC_HIST_BOUNDS + 1)

/*
 * The place of each row's first cell: the enumerator after a row's last cell is the next row's
 * first.
 */
enum {
#define METRIC(id, kind, name, help)                                                               \
 AT_##id, LAST_##id = AT_##id + ((kind) == METRIC_HIST ? HIST_CELLS : 1) - 1,
#include "core/base/metric.def"
#undef METRIC
	CELLS
};

static const struct row {
	enum metric_kind kind;
	unsigned at;
	const char *name, *help;
} rows[M_COUNT] = {
#define METRIC(id, kind, name, help) { kind, AT_##id, name, help },
#include "core/base/metric.def"
#undef METRIC
};

const uint64_t METRIC_HIST_BOUNDS_NS[METRIC_HIST_BOUNDS] = { 1000, 5000, 10000, 50000, 100000,
	250000, 500000, 1000000, 2500000, 5000000, 10000000, 50000000, 100000000, 500000000,
	1000000000, 5000000000, 10000000000, 60000000000 };

struct cells {
	struct cells *next;
	unsigned loop;       /* whose thread it is, and 1; 0: no loop's */
	uint64_t longest[2]; /* turns in ns, of this window and the last */
	uint64_t v[CELLS];
};

static struct cells *all;
static __thread struct cells *mine;

static struct cells *cells_here(void)
{
	if (LIKELY(mine != NULL))
		return mine;
	struct cells *c = mem_zalloc(sizeof(*c));
	c->next = __atomic_load_n(&all, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
	    &all, &c->next, c, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	mine = c;
	return c;
}

static inline void cell_add(uint64_t *cell, uint64_t n)
{
	__atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

void metric_add(enum metric_id id, uint64_t n)
{
	cell_add(&cells_here()->v[rows[id].at], n);
}

void metric_gauge_add(enum metric_id id, int64_t n)
{
	cell_add(&cells_here()->v[rows[id].at], (uint64_t)n);
}

void metric_gauge_set(enum metric_id id, int64_t v)
{
	__atomic_store_n(&cells_here()->v[rows[id].at], (uint64_t)v, __ATOMIC_RELAXED);
}

void metric_observe_ns(enum metric_id id, uint64_t ns)
{
	CHECK_SLOW(rows[id].kind == METRIC_HIST);
	unsigned b = 0;
	while (b < METRIC_HIST_BOUNDS && ns > METRIC_HIST_BOUNDS_NS[b])
		b++;
	uint64_t *v = &cells_here()->v[rows[id].at];
	cell_add(&v[b], 1);
	cell_add(&v[HIST_SUM], ns);
}

static uint64_t sum_cell(unsigned at)
{
	uint64_t s = 0;
	for (struct cells *c = __atomic_load_n(&all, __ATOMIC_ACQUIRE); c; c = c->next)
		s += __atomic_load_n(&c->v[at], __ATOMIC_RELAXED);
	return s;
}

uint64_t metric_sum(enum metric_id id)
{
	return sum_cell(rows[id].at);
}

void metric_hist(enum metric_id id, uint64_t out[METRIC_HIST_BOUNDS + 1])
{
	CHECK_SLOW(rows[id].kind == METRIC_HIST);
	for (unsigned b = 0; b <= METRIC_HIST_BOUNDS; b++)
		out[b] = sum_cell(rows[id].at + b);
}

uint64_t metric_hist_sum(enum metric_id id)
{
	CHECK_SLOW(rows[id].kind == METRIC_HIST);
	return sum_cell(rows[id].at + HIST_SUM);
}

uint64_t metric_hist_quantile(const uint64_t cells[METRIC_HIST_BOUNDS + 1], double q)
{
	uint64_t count = 0, sum = 0;
	for (unsigned b = 0; b <= METRIC_HIST_BOUNDS; b++)
		count += cells[b];
	for (unsigned b = 0; b < METRIC_HIST_BOUNDS; b++) {
		sum += cells[b];
		if (count && (double)sum >= q * (double)count)
			return METRIC_HIST_BOUNDS_NS[b];
	}
	return count ? UINT64_MAX : 0;
}

/* "family{labels}" into its two halves. */
struct split {
	char family[160], labels[160];
};

static void split_name(const char *name, struct split *s)
{
	const char *brace = strchr(name, '{');
	size_t len = brace ? (size_t)(brace - name) : strlen(name);
	CHECK(len < sizeof(s->family));
	memcpy(s->family, name, len);
	s->family[len] = 0;
	s->labels[0] = 0;
	if (brace) {
		size_t inner = strlen(brace) - 2;
		CHECK(inner < sizeof(s->labels));
		memcpy(s->labels, brace + 1, inner);
		s->labels[inner] = 0;
	}
}

static void each_hist(const struct row *r, const struct split *s,
    void (*fn)(void *arg, const struct metric_value *v), void *arg)
{
	char name[192], labels[256], bound[NUM_FMT_MAX + 1];
	uint64_t cum = 0;
	const char *comma = s->labels[0] ? "," : "";
	snprintf(name, sizeof(name), "%s_bucket", s->family);
	for (unsigned b = 0; b <= METRIC_HIST_BOUNDS; b++) {
		cum += sum_cell(r->at + b);
		if (b < METRIC_HIST_BOUNDS)
			bound[num_fmt_g((double)METRIC_HIST_BOUNDS_NS[b] / 1e9, bound)] = 0;
		snprintf(labels, sizeof(labels), "%s%sle=\"%.40s\"", s->labels, comma,
		    b < METRIC_HIST_BOUNDS ? bound : "+Inf");
		fn(arg,
		    &(struct metric_value){ .name = name, .labels = labels, .value = (double)cum });
	}
	snprintf(name, sizeof(name), "%s_sum", s->family);
	fn(arg,
	    &(struct metric_value){ .name = name,
	        .labels = s->labels,
	        .value = (double)sum_cell(r->at + HIST_SUM) / 1e9 });
	snprintf(name, sizeof(name), "%s_count", s->family);
	fn(arg, &(struct metric_value){ .name = name, .labels = s->labels, .value = (double)cum });
}

static void each_row(const struct row *r, const struct split *s,
    void (*fn)(void *arg, const struct metric_value *v), void *arg)
{
	double v = 0;
	switch (r->kind) {
	case METRIC_HIST:
		each_hist(r, s, fn, arg);
		return;
	case METRIC_COUNTER:
		v = (double)sum_cell(r->at);
		break;
	case METRIC_GAUGE:
		v = (double)(int64_t)sum_cell(r->at);
		break;
	case METRIC_MS:
		v = (double)(int64_t)sum_cell(r->at) / 1e3;
		break;
	}
	fn(arg, &(struct metric_value){ .name = s->family, .labels = s->labels, .value = v });
}

/* ---- of each loop ---- */

/* Bounds of METRIC_HIST_BOUNDS_NS that turns of one loop are told in. */
static const uint64_t turn_bounds[] = { 100000, 500000, 1000000, 5000000, 50000000, 500000000 };

enum loop_figure {
	LOOP_BUSY,
	LOOP_CPU,
	LOOP_LONGEST,
	LOOP_TURNS
};
static const struct loop_family {
	enum metric_kind kind;
	const char *name, *help;
} loop_families[] = {
	[LOOP_BUSY] = { METRIC_COUNTER, "kymo_loop_busy_seconds_total",
	    "Time of an event loop's turns, waiting left out: its rate is the part of the time that the loop is busy." },
	[LOOP_CPU] = { METRIC_COUNTER, "kymo_loop_cpu_seconds_total",
	    "CPU time of an event loop's turns; what it is less than kymo_loop_busy_seconds_total others took." },
	[LOOP_LONGEST] = { METRIC_GAUGE, "kymo_loop_longest_turn_seconds",
	    "The longest turn of an event loop in the last 5 to 10 seconds." },
	[LOOP_TURNS] = { METRIC_HIST, "kymo_loop_each_turn_seconds",
	    "Length of one turn by event loop, waiting left out; in few bounds, from 100 us to 0.5 s." },
};
/* Each a series, and of the histogram +Inf, _sum and _count. */
STATIC(COUNT_OF(loop_families) - 1 + COUNT_OF(turn_bounds) + 3 == METRIC_LOOP_SERIES);

void metric_loop(unsigned index)
{
	__atomic_store_n(&cells_here()->loop, index + 1, __ATOMIC_RELAXED);
}

void metric_loop_longest(uint64_t ns)
{
	__atomic_store_n(&cells_here()->longest[0], ns, __ATOMIC_RELAXED);
}

void metric_loop_window(void)
{
	struct cells *c = cells_here();
	__atomic_store_n(
	    &c->longest[1], __atomic_load_n(&c->longest[0], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
	__atomic_store_n(&c->longest[0], 0, __ATOMIC_RELAXED);
}

static unsigned loops_count(void)
{
	unsigned most = 0;
	for (struct cells *c = __atomic_load_n(&all, __ATOMIC_ACQUIRE); c; c = c->next) {
		unsigned loop = __atomic_load_n(&c->loop, __ATOMIC_RELAXED);
		most = loop > most ? loop : most;
	}
	return most;
}

struct loop_sums {
	uint64_t turns[METRIC_HIST_BOUNDS + 1], busy_ns, cpu_ns, longest_ns;
};

static void loop_add(struct loop_sums *s, const struct cells *c)
{
	for (unsigned b = 0; b <= METRIC_HIST_BOUNDS; b++)
		s->turns[b] += __atomic_load_n(&c->v[AT_TURN + b], __ATOMIC_RELAXED);
	s->busy_ns += __atomic_load_n(&c->v[AT_TURN + HIST_SUM], __ATOMIC_RELAXED);
	s->cpu_ns += __atomic_load_n(&c->v[AT_TURN_CPU + HIST_SUM], __ATOMIC_RELAXED);
	for (unsigned w = 0; w < COUNT_OF(c->longest); w++) {
		uint64_t ns = __atomic_load_n(&c->longest[w], __ATOMIC_RELAXED);
		s->longest_ns = ns > s->longest_ns ? ns : s->longest_ns;
	}
}

/* Of all loops, in one walk over the threads. To be freed; *count may be 0. */
static struct loop_sums *loops_sum(unsigned *count)
{
	struct loop_sums *sums;
	*count = loops_count();
	sums = mem_zalloc((*count + 1) * sizeof(*sums));
	for (struct cells *c = __atomic_load_n(&all, __ATOMIC_ACQUIRE); c; c = c->next) {
		unsigned loop = __atomic_load_n(&c->loop, __ATOMIC_RELAXED);
		if (loop && loop <= *count) /* a loop may have begun meanwhile */
			loop_add(&sums[loop - 1], c);
	}
	return sums;
}

static void loop_turns(unsigned loop, const struct loop_sums *s,
    void (*fn)(void *arg, const struct metric_value *v), void *arg)
{
	char name[64], labels[64], bound[NUM_FMT_MAX + 1] = "+Inf";
	uint64_t cum = 0;
	unsigned b = 0;
	snprintf(name, sizeof(name), "%s_bucket", loop_families[LOOP_TURNS].name);
	for (unsigned k = 0; k <= COUNT_OF(turn_bounds); k++) {
		bool last = k == COUNT_OF(turn_bounds);
		while (b < METRIC_HIST_BOUNDS && (last || METRIC_HIST_BOUNDS_NS[b] <= turn_bounds[k]))
			cum += s->turns[b++];
		if (last)
			cum += s->turns[METRIC_HIST_BOUNDS];
		else
			bound[num_fmt_g((double)turn_bounds[k] / 1e9, bound)] = 0;
		snprintf(labels, sizeof(labels), "loop=\"%u\",le=\"%.40s\"", loop,
		    last ? "+Inf" : bound);
		fn(arg,
		    &(struct metric_value){ .name = name, .labels = labels, .value = (double)cum });
	}
	snprintf(labels, sizeof(labels), "loop=\"%u\"", loop);
	snprintf(name, sizeof(name), "%s_sum", loop_families[LOOP_TURNS].name);
	fn(arg,
	    &(struct metric_value){
	        .name = name, .labels = labels, .value = (double)s->busy_ns / 1e9 });
	snprintf(name, sizeof(name), "%s_count", loop_families[LOOP_TURNS].name);
	fn(arg, &(struct metric_value){ .name = name, .labels = labels, .value = (double)cum });
}

static void each_loop(enum loop_figure figure, const struct loop_sums *sums, unsigned count,
    void (*fn)(void *arg, const struct metric_value *v), void *arg)
{
	for (unsigned l = 0; l < count; l++) {
		const struct loop_sums *s = &sums[l];
		char labels[32];
		if (figure == LOOP_TURNS) {
			loop_turns(l, s, fn, arg);
			continue;
		}
		uint64_t ns = figure == LOOP_BUSY ? s->busy_ns
		    : figure == LOOP_CPU          ? s->cpu_ns
		                                  : s->longest_ns;
		snprintf(labels, sizeof(labels), "loop=\"%u\"", l);
		fn(arg,
		    &(struct metric_value){ .name = loop_families[figure].name,
		        .labels = labels,
		        .value = (double)ns / 1e9 });
	}
}

static void each_of_loops(void (*fn)(void *arg, const struct metric_value *v), void *arg)
{
	unsigned count;
	struct loop_sums *sums = loops_sum(&count);
	for (unsigned i = 0; i < COUNT_OF(loop_families); i++)
		each_loop((enum loop_figure)i, sums, count, fn, arg);
	mem_free(sums);
}

/* ---- the build ---- */

#define BUILD_NAME "kymo_build_info"
#define BUILD_HELP "The version that runs, and the revision it was built from."

static char build_labels[256];

void metric_build(const char *version, const char *revision)
{
	int n = snprintf(build_labels, sizeof(build_labels), "version=\"%s\",revision=\"%s\"",
	    version, revision);
	CHECK(n > 0 && (size_t)n < sizeof(build_labels));
}

static void each_build(void (*fn)(void *arg, const struct metric_value *v), void *arg)
{
	if (build_labels[0])
		fn(arg,
		    &(struct metric_value){ .name = BUILD_NAME, .labels = build_labels, .value = 1 });
}

void metric_families(void (*fn)(void *arg, const struct metric_family *f), void *arg)
{
	struct split s, last = { .family = "" };
	for (unsigned i = 0; i < M_COUNT; i++) {
		split_name(rows[i].name, &s);
		if (strcmp(s.family, last.family) != 0)
			fn(arg, &(struct metric_family){ s.family, rows[i].help, rows[i].kind });
		last = s;
	}
	for (unsigned i = 0; i < COUNT_OF(loop_families) && loops_count(); i++)
		fn(arg,
		    &(struct metric_family){
		        loop_families[i].name, loop_families[i].help, loop_families[i].kind });
	struct metric_proc p[METRIC_PROC_MAX];
	unsigned n = metric_proc_read(p);
	for (unsigned i = 0; i < n; i++)
		fn(arg, &(struct metric_family){ p[i].name, p[i].help, p[i].kind });
	if (build_labels[0])
		fn(arg, &(struct metric_family){ BUILD_NAME, BUILD_HELP, METRIC_GAUGE });
}

void metric_rows(void (*fn)(void *arg, const struct metric_row *r), void *arg)
{
	struct split s;
	for (unsigned i = 0; i < M_COUNT; i++) {
		split_name(rows[i].name, &s);
		fn(arg, &(struct metric_row){ s.family, s.labels, rows[i].help, rows[i].kind });
	}
	for (unsigned i = 0; i < COUNT_OF(loop_families); i++) {
		const struct loop_family *f = &loop_families[i];
		fn(arg, &(struct metric_row){ f->name, "loop", f->help, f->kind });
	}
	for (unsigned i = 0; i < metric_procs_count; i++) {
		const struct metric_proc *p = &metric_procs[i];
		fn(arg, &(struct metric_row){ p->name, "", p->help, p->kind });
	}
	fn(arg, &(struct metric_row){ BUILD_NAME, "version,revision", BUILD_HELP, METRIC_GAUGE });
}

void metric_each(void (*fn)(void *arg, const struct metric_value *v), void *arg)
{
	struct split s;
	for (unsigned i = 0; i < M_COUNT; i++) {
		split_name(rows[i].name, &s);
		each_row(&rows[i], &s, fn, arg);
	}
	each_of_loops(fn, arg);
	struct metric_proc p[METRIC_PROC_MAX];
	unsigned n = metric_proc_read(p);
	for (unsigned i = 0; i < n; i++)
		fn(arg,
		    &(struct metric_value){ .name = p[i].name, .labels = "", .value = p[i].value });
	each_build(fn, arg);
}

static void put_value(void *arg, const struct metric_value *v)
{
	struct buf *out = arg;
	char text[NUM_FMT_MAX];
	buf_add_str(out, v->name);
	if (v->labels[0])
		buf_printf(out, "{%s}", v->labels);
	buf_add_u8(out, ' ');
	buf_add(out, text, num_fmt_g(v->value, text));
	buf_add_u8(out, '\n');
}

const char *metric_kind_word(enum metric_kind k)
{
	switch (k) {
	case METRIC_COUNTER:
		return "counter";
	case METRIC_GAUGE:
	case METRIC_MS:
		return "gauge";
	case METRIC_HIST:
		return "histogram";
	}
	return "untyped";
}

static void expose_loops(struct buf *out)
{
	unsigned count;
	struct loop_sums *sums = loops_sum(&count);
	for (unsigned i = 0; i < COUNT_OF(loop_families) && count; i++) {
		const struct loop_family *f = &loop_families[i];
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
		    metric_kind_word(f->kind));
		each_loop((enum loop_figure)i, sums, count, put_value, out);
	}
	mem_free(sums);
}

void metric_expose(struct buf *out)
{
	struct split s, last = { .family = "" };
	for (unsigned i = 0; i < M_COUNT; i++) {
		split_name(rows[i].name, &s);
		if (strcmp(s.family, last.family) != 0)
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", s.family, rows[i].help,
			    s.family, metric_kind_word(rows[i].kind));
		each_row(&rows[i], &s, put_value, out);
		last = s;
	}
	expose_loops(out);
	struct metric_proc p[METRIC_PROC_MAX];
	unsigned n = metric_proc_read(p);
	for (unsigned i = 0; i < n; i++) {
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", p[i].name, p[i].help, p[i].name,
		    metric_kind_word(p[i].kind));
		put_value(out,
		    &(struct metric_value){ .name = p[i].name, .labels = "", .value = p[i].value });
	}
	if (build_labels[0])
		buf_add_str(
		    out, "# HELP " BUILD_NAME " " BUILD_HELP "\n# TYPE " BUILD_NAME " gauge\n");
	each_build(put_value, out);
}

/*
 * otlpjudge - protobuf-c and a plain second translation as the judge of proto/otlp: what protobuf-c
 * unpacks must be accepted, with the same rows in the same order, names as they came (OTLP_UTF8).
 *
 * otlpjudge() gives NULL when both agree, else what was different. Of bodies with values that are
 * no string, bool or int, or with counts beyond 2^60, the number of data points is compared alone.
 */
#ifndef TESTS_LIB_OTLPJUDGE_H
#define TESTS_LIB_OTLPJUDGE_H

#include "proto/gen/otlp.pb-c.h"
#include "proto/otlp.h"
#include "proto/pbcount.h"
#include "proto/pbmem.h"

#include <math.h>
#include <stdio.h>

#define OTLPJUDGE(name)  Opentelemetry__Proto__Collector__Metrics__V1__##name
#define OTLPJUDGE_C(x)   OPENTELEMETRY__PROTO__COLLECTOR__METRICS__V1__##x
#define OTLPJUDGE_LARGE  (UINT64_C(1) << 60)
#define OTLPJUDGE_STEP   (UINT64_C(150) * 1000000000)
#define OTLPJUDGE_MEMORY (64u << 20)

typedef OTLPJUDGE(KeyValue) otlpjudge_pair;
struct otlpjudge {
	struct arena arena;
	struct batch all; /* ours, of the whole body */
	size_t at;        /* of its rows: compared so far */
	uint64_t points, bad;
	bool vague;        /* not all of it can be judged */
	const char *wrong; /* the first difference */
	/* of a resource */
	const char *job, *instance;
	uint64_t earliest, latest;
	struct labels infos[64];
	int64_t infos_ms[64];
	size_t infos_count;
};

/* ---- ours ---- */

static inline void otlpjudge_keep(struct otlpjudge *j, const struct batch *b)
{
	for (size_t i = 0; i < b->rows_count; i++) {
		const struct batch_row *from = &b->rows[i];
		struct batch_row *to = batch_add(&j->all);
		*to = *from;
		to->labels = arena_dup(&j->arena, from->labels, from->labels_len);
		if (!(from->flags & BATCH_EXTRA))
			continue;
		struct batch_extra *x = arena_dup(&j->arena, from->extra, sizeof *x);
		x->hist = x->hist ? hist_copy(&j->arena, x->hist) : NULL;
		to->extra = x;
	}
}

static inline enum err otlpjudge_decode(
    struct otlpjudge *j, const uint8_t *body, size_t len, struct decode *d)
{
	struct arena arena, keep;
	struct batch batch;
	const uint8_t *p = body;
	enum err err;
	static const struct otlp_opts opts = { .strategy = OTLP_UTF8 };
	arena_init(&arena, 1024);
	arena_init(&keep, 1024);
	batch_init(&batch);
	*d = (struct decode){ .arena = &arena, .keep = &keep, .batch = &batch, .opts = &opts };
	do {
		err = otlp_decoder.next(d, &p, body + len, true, NULL);
		otlpjudge_keep(j, &batch);
		batch_clear(&batch);
		arena_reset(&arena, SIZE_MAX);
	} while (!err && p < body + len);
	otlp_decoder.end(d);
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
	return err;
}

/* ---- theirs ---- */

static inline void otlpjudge_wrong(struct otlpjudge *j, const char *what)
{
	if (!j->wrong && !j->vague)
		j->wrong = what;
}

static inline const char *otlpjudge_value(struct otlpjudge *j, const otlpjudge_pair *x)
{
	const OTLPJUDGE(AnyValue) *v = x->value;
	if (!v)
		return "";
	switch ((int)v->value_case) {
	case OTLPJUDGE_C(ANY_VALUE__VALUE__NOT_SET):
		return "";
	case OTLPJUDGE_C(ANY_VALUE__VALUE_STRING_VALUE):
		return v->string_value;
	case OTLPJUDGE_C(ANY_VALUE__VALUE_BOOL_VALUE):
		return v->bool_value ? "true" : "false";
	case OTLPJUDGE_C(ANY_VALUE__VALUE_INT_VALUE):
		return arena_printf(&j->arena, "%lld", (long long)v->int_value);
	default:
		j->vague = true;
		return "";
	}
}

/* Labels of a series; false: its point is refused. more: a label that wins. */
static inline bool otlpjudge_labels(struct otlpjudge *j, size_t n, otlpjudge_pair **attrs,
    const char *name, const char *more, const char *value, struct labels *out)
{
	struct label_builder b;
	label_builder_init(&b, &j->arena);
	if (n > limits_here()->write_labels)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *key = attrs[i]->key, *text = otlpjudge_value(j, attrs[i]);
		if (!strcmp(key, "__name__"))
			continue;
		for (size_t k = 0; k < i; k++)
			if (!strcmp(attrs[k]->key, key))
				return false;
		if (!*key)
			return false;
		label_builder_set(&b, key, strlen(key), text, strlen(text));
	}
	if (*j->job)
		label_builder_set(&b, "job", 3, j->job, strlen(j->job));
	if (*j->instance)
		label_builder_set(&b, "instance", 8, j->instance, strlen(j->instance));
	if (more)
		label_builder_set(&b, more, strlen(more), value, strlen(value));
	label_builder_set(&b, LABEL_NAME, strlen(LABEL_NAME), name, strlen(name));
	*out = label_builder_done(&b);
	return true;
}

struct otlpjudge_point {
	size_t n;
	otlpjudge_pair **attrs;
	uint64_t start_ns, time_ns;
	uint32_t flags;
};

static inline const struct batch_row *otlpjudge_row(
    struct otlpjudge *j, const struct otlpjudge_point *p, struct labels ls)
{
	static const struct batch_row none;
	if (j->at == j->all.rows_count) {
		otlpjudge_wrong(j, "fewer rows than the judge");
		return &none;
	}
	const struct batch_row *r = &j->all.rows[j->at++];
	int64_t start_ms = r->flags & BATCH_EXTRA ? r->extra->start_ms : 0;
	if (!label_equal((struct labels){ r->labels, r->labels_len }, ls))
		otlpjudge_wrong(j, "other labels");
	if (r->t_ms != (int64_t)p->time_ns / 1000000 || start_ms != (int64_t)p->start_ns / 1000000)
		otlpjudge_wrong(j, "another time");
	return r;
}

static inline bool otlpjudge_float(struct otlpjudge *j, const struct otlpjudge_point *p,
    const char *name, const char *suffix, const char *more, const char *value, double v)
{
	struct labels ls;
	name = arena_printf(&j->arena, "%s%s", name, suffix);
	if (!otlpjudge_labels(j, p->n, p->attrs, name, more, value, &ls)) {
		j->bad++;
		return false;
	}
	const struct batch_row *r = otlpjudge_row(j, p, ls);
	double ours = r->flags & BATCH_EXTRA ? r->extra->v : r->v;
	v = p->flags & 1 ? sample_stale() : v;
	if (num_bits(ours) != num_bits(v))
		otlpjudge_wrong(j, "another value");
	return true;
}

static inline const char *otlpjudge_number(struct otlpjudge *j, double v)
{
	char text[NUM_FMT_MAX];
	return arena_strndup(&j->arena, text, num_fmt_f(v, text));
}

static inline void otlpjudge_histogram(struct otlpjudge *j, const char *name,
    const struct otlpjudge_point *p, const OTLPJUDGE(HistogramDataPoint) * h)
{
	uint64_t sum = 0;
	size_t n =
	    h->n_explicit_bounds < h->n_bucket_counts ? h->n_explicit_bounds : h->n_bucket_counts;
	if (h->told_case && !otlpjudge_float(j, p, name, "_sum", NULL, NULL, h->sum))
		return;
	if (!otlpjudge_float(j, p, name, "_count", NULL, NULL, (double)h->count))
		return;
	for (size_t i = 0; i < n; i++) {
		sum += h->bucket_counts[i];
		(void)otlpjudge_float(j, p, name, "_bucket", "le",
		    otlpjudge_number(j, h->explicit_bounds[i]), (double)sum);
	}
	(void)otlpjudge_float(j, p, name, "_bucket", "le", "+Inf", (double)h->count);
}

/* What a side of ours has in this bucket. */
static inline uint64_t otlpjudge_bucket(const struct hist_side *s, int64_t index)
{
	int64_t at = 0;
	size_t n = 0;
	for (uint32_t i = 0; i < s->spans_count; i++) {
		at += s->spans[i].offset;
		for (uint32_t k = 0; k < s->spans[i].length; k++, at++, n++)
			if (at == index)
				return s->counts[n].n;
	}
	return 0;
}

typedef OTLPJUDGE(ExponentialHistogramDataPoint__Buckets) otlpjudge_side;

/* Every bucket, and that there is nothing else. */
static inline uint64_t otlpjudge_sides(
    struct otlpjudge *j, const otlpjudge_side *theirs, const struct hist_side *ours, unsigned down)
{
	uint64_t total = 0, all = 0;
	for (size_t i = 0; theirs && i < theirs->n_bucket_counts; i++) {
		int64_t index = (((int64_t)theirs->offset + (int64_t)i) >> down) + 1;
		uint64_t sum = 0;
		for (size_t k = 0; k < theirs->n_bucket_counts; k++)
			if ((((int64_t)theirs->offset + (int64_t)k) >> down) + 1 == index)
				sum += theirs->bucket_counts[k];
		if (ours && otlpjudge_bucket(ours, index) != sum)
			otlpjudge_wrong(j, "another bucket");
		total += theirs->bucket_counts[i];
	}
	for (uint32_t i = 0; ours && i < ours->counts_count; i++)
		all += ours->counts[i].n;
	if (ours && all != total)
		otlpjudge_wrong(j, "other counts");
	return total;
}

static inline bool otlpjudge_reaches(const otlpjudge_side *s, unsigned down)
{
	size_t n = s ? s->n_bucket_counts : 0;
	while (n && !s->bucket_counts[n - 1])
		n--;
	return n && (((int64_t)s->offset + (int64_t)n - 1) >> down) + 1 > INT32_MAX;
}

static inline void otlpjudge_exponential(struct otlpjudge *j, const char *name,
    const struct otlpjudge_point *p, const OTLPJUDGE(ExponentialHistogramDataPoint) * h)
{
	struct labels ls;
	unsigned down = h->scale > 8 ? (unsigned)(h->scale - 8) : 0;
	down = down < 62 ? down : 62;
	if ((!(p->flags & 1) &&
	        (h->scale < -4 || otlpjudge_reaches(h->positive, down) ||
	            otlpjudge_reaches(h->negative, down))) ||
	    !otlpjudge_labels(j, p->n, p->attrs, name, NULL, NULL, &ls)) {
		j->bad++;
		return;
	}
	const struct batch_row *r = otlpjudge_row(j, p, ls);
	if (j->wrong || !(r->flags & BATCH_EXTRA)) {
		otlpjudge_wrong(j, "a row that is no histogram");
		return;
	}
	const struct hist *ours = r->extra->hist;
	if (p->flags & 1) {
		if (!ours || !hist_is_stale(ours))
			otlpjudge_wrong(j, "a histogram that is not stale");
		return;
	}
	double sum = h->told_case ? h->sum : 0;
	uint64_t total = h->zero_count +
	    otlpjudge_sides(j, h->positive, ours ? &ours->positive : NULL, down) +
	    otlpjudge_sides(j, h->negative, ours ? &ours->negative : NULL, down);
	bool good = isnan(sum) ? total <= h->count : total == h->count;
	if (sample_is_stale(sum))
		return;
	if (good != (ours != NULL))
		otlpjudge_wrong(j, good ? "a good histogram is bad" : "a bad histogram is good");
	if (!ours)
		return;
	double zt = h->zero_threshold > 0 && isfinite(h->zero_threshold) ? h->zero_threshold : 1e-128;
	if (num_bits(ours->sum) != num_bits(sum) || ours->count.n != h->count ||
	    ours->zero_count.n != h->zero_count || ours->zero_threshold != zt ||
	    ours->schema != (h->scale > 8 ? 8 : h->scale))
		otlpjudge_wrong(j, "another histogram");
}

/* ---- metrics ---- */

static inline bool otlpjudge_taken(struct otlpjudge *j, const char *name, size_t points,
    bool has_temporality, unsigned temporality)
{
	if (*name && (!has_temporality || temporality == 2))
		return true;
	j->bad += points;
	return false;
}

/* Times count, whatever becomes of the point. */
static inline void otlpjudge_times(struct otlpjudge *j, uint64_t ns)
{
	j->points++;
	j->earliest = ns < j->earliest ? ns : j->earliest;
	j->latest = ns > j->latest ? ns : j->latest;
}

#define OTLPJUDGE_EACH(list, ...)                                                                  \
 do {                                                                                              \
  bool taken_ = otlpjudge_taken(j, m->name, (list)->n_data_points, __VA_ARGS__);                   \
  for (size_t i_ = 0; i_ < (list)->n_data_points; i_++) {                                          \
   x = (list)->data_points[i_];                                                                    \
   const struct otlpjudge_point p = { x->n_attributes, x->attributes, x->start_time_unix_nano,     \
	   x->time_unix_nano, x->flags };                                                          \
   otlpjudge_times(j, x->time_unix_nano);                                                          \
   if (taken_)                                                                                     \
    OTLPJUDGE_POINT;                                                                               \
  }                                                                                                \
 } while (0)

static inline double otlpjudge_of(const OTLPJUDGE(NumberDataPoint) * x)
{
	switch ((int)x->value_case) {
	case OTLPJUDGE_C(NUMBER_DATA_POINT__VALUE_AS_DOUBLE):
		return x->as_double;
	case OTLPJUDGE_C(NUMBER_DATA_POINT__VALUE_AS_INT):
		return (double)x->as_int;
	default:
		return 0;
	}
}

static inline void otlpjudge_numbers(struct otlpjudge *j, const OTLPJUDGE(Metric) * m)
{
	const OTLPJUDGE(NumberDataPoint) * x;
#define OTLPJUDGE_POINT (void)otlpjudge_float(j, &p, m->name, "", NULL, NULL, otlpjudge_of(x))
	if (m->data_case == OTLPJUDGE_C(METRIC__DATA_GAUGE))
		OTLPJUDGE_EACH(m->gauge, false, 0);
	else
		OTLPJUDGE_EACH(m->sum, true, (unsigned)m->sum->aggregation_temporality);
#undef OTLPJUDGE_POINT
}

static inline void otlpjudge_histograms(struct otlpjudge *j, const OTLPJUDGE(Metric) * m)
{
	const OTLPJUDGE(HistogramDataPoint) * x;
#define OTLPJUDGE_POINT otlpjudge_histogram(j, m->name, &p, x)
	OTLPJUDGE_EACH(m->histogram, true, (unsigned)m->histogram->aggregation_temporality);
#undef OTLPJUDGE_POINT
}

static inline void otlpjudge_exponentials(struct otlpjudge *j, const OTLPJUDGE(Metric) * m)
{
	const OTLPJUDGE(ExponentialHistogramDataPoint) * x;
#define OTLPJUDGE_POINT otlpjudge_exponential(j, m->name, &p, x)
	OTLPJUDGE_EACH(m->exponential_histogram, true,
	    (unsigned)m->exponential_histogram->aggregation_temporality);
#undef OTLPJUDGE_POINT
}

static inline void otlpjudge_summary(struct otlpjudge *j, const char *name,
    const struct otlpjudge_point *p, const OTLPJUDGE(SummaryDataPoint) * x)
{
	if (!otlpjudge_float(j, p, name, "_sum", NULL, NULL, x->sum))
		return;
	(void)otlpjudge_float(j, p, name, "_count", NULL, NULL, (double)x->count);
	for (size_t i = 0; i < x->n_quantile_values; i++)
		(void)otlpjudge_float(j, p, name, "", "quantile",
		    otlpjudge_number(j, x->quantile_values[i]->quantile),
		    x->quantile_values[i]->value);
}

static inline void otlpjudge_summaries(struct otlpjudge *j, const OTLPJUDGE(Metric) * m)
{
	const OTLPJUDGE(SummaryDataPoint) * x;
#define OTLPJUDGE_POINT otlpjudge_summary(j, m->name, &p, x)
	OTLPJUDGE_EACH(m->summary, false, 0);
#undef OTLPJUDGE_POINT
}

static inline void otlpjudge_metric(struct otlpjudge *j, const OTLPJUDGE(Metric) * m)
{
	switch ((int)m->data_case) {
	case OTLPJUDGE_C(METRIC__DATA_GAUGE):
	case OTLPJUDGE_C(METRIC__DATA_SUM):
		otlpjudge_numbers(j, m);
		break;
	case OTLPJUDGE_C(METRIC__DATA_HISTOGRAM):
		otlpjudge_histograms(j, m);
		break;
	case OTLPJUDGE_C(METRIC__DATA_EXPONENTIAL_HISTOGRAM):
		otlpjudge_exponentials(j, m);
		break;
	case OTLPJUDGE_C(METRIC__DATA_SUMMARY):
		otlpjudge_summaries(j, m);
		break;
	default:
		break;
	}
}

/* ---- resources ---- */

static inline const char *otlpjudge_attr(
    struct otlpjudge *j, const OTLPJUDGE(Resource) * r, const char *key)
{
	for (size_t i = 0; r && i < r->n_attributes; i++)
		if (!strcmp(r->attributes[i]->key, key))
			return otlpjudge_value(j, r->attributes[i]);
	return NULL;
}

static inline void otlpjudge_identity(struct otlpjudge *j, const OTLPJUDGE(Resource) * r)
{
	const char *name = otlpjudge_attr(j, r, "service.name"),
	           *space = otlpjudge_attr(j, r, "service.namespace"),
	           *instance = otlpjudge_attr(j, r, "service.instance.id");
	j->job = !name ? "" : space ? arena_printf(&j->arena, "%s/%s", space, name) : name;
	j->instance = instance ? instance : "";
	j->earliest = UINT64_MAX;
	j->latest = 0;
}

static inline void otlpjudge_info_at(struct otlpjudge *j, struct labels ls, uint64_t ns)
{
	const struct otlpjudge_point p = { .time_ns = ns };
	int64_t ms = (int64_t)ns / 1000000;
	for (size_t i = 0; i < j->infos_count; i++)
		if (label_equal(j->infos[i], ls) && j->infos_ms[i] == ms)
			return;
	if (j->infos_count == COUNT_OF(j->infos)) {
		j->vague = true;
		return;
	}
	j->infos[j->infos_count] = ls;
	j->infos_ms[j->infos_count++] = ms;
	const struct batch_row *r = otlpjudge_row(j, &p, ls);
	if (r->v != 1)
		otlpjudge_wrong(j, "a target_info that is not 1");
}

static inline void otlpjudge_info(struct otlpjudge *j, const OTLPJUDGE(Resource) * r)
{
	static const char *const identifying[] = { "service.name", "service.namespace",
		"service.instance.id" };
	size_t n = r ? r->n_attributes : 0, others = n;
	struct labels ls;
	if (j->earliest == UINT64_MAX)
		return;
	otlpjudge_pair **list = arena_array(&j->arena, n + 1, sizeof(*list));
	size_t kept = 0;
	for (size_t k = 0; k < COUNT_OF(identifying); k++)
		others -= otlpjudge_attr(j, r, identifying[k]) != NULL;
	for (size_t i = 0; i < n; i++) {
		bool is = false;
		for (size_t k = 0; k < COUNT_OF(identifying); k++)
			is |= !strcmp(r->attributes[i]->key, identifying[k]);
		if (!is)
			list[kept++] = r->attributes[i];
	}
	if (!others)
		return;
	for (size_t i = 0; i < kept; i++) /* here it is no name of a metric's, and is overruled */
		if (!strcmp(list[i]->key, "__name__"))
			j->vague = true;
	if (!otlpjudge_labels(j, kept, list, "target_info", NULL, NULL, &ls)) {
		j->bad++;
		return;
	}
	uint32_t len;
	if (!label_get(ls, "job", 3, &len) && !label_get(ls, "instance", 8, &len))
		return;
	if ((j->latest - j->earliest) / OTLPJUDGE_STEP > 50 || (int64_t)j->latest < 0) {
		j->vague = true;
		return;
	}
	for (uint64_t ns = j->earliest; ns < j->latest; ns += OTLPJUDGE_STEP)
		otlpjudge_info_at(j, ls, ns);
	otlpjudge_info_at(j, ls, j->latest);
}

static inline void otlpjudge_request(
    struct otlpjudge *j, const OTLPJUDGE(ExportMetricsServiceRequest) * req)
{
	for (size_t i = 0; i < req->n_resource_metrics; i++) {
		const OTLPJUDGE(ResourceMetrics) *r = req->resource_metrics[i];
		otlpjudge_identity(j, r->resource);
		for (size_t k = 0; k < r->n_scope_metrics; k++)
			for (size_t n = 0; n < r->scope_metrics[k]->n_metrics; n++)
				otlpjudge_metric(j, r->scope_metrics[k]->metrics[n]);
		otlpjudge_info(j, r->resource);
	}
}

/* Are there numbers that the sums of the judge cannot hold? */
static inline bool otlpjudge_large(const uint8_t *body, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i++) { /* long varints and high bytes, roughly */
		size_t n = 0;
		while (i + n < len && body[i + n] >= 0x80)
			n++;
		if (n >= 8)
			return true;
	}
	return false;
}

/*
 * protobuf-c takes a bool of any wire type, we do not: it must be accepted as protobuf-c writes it.
 */
static inline enum err otlpjudge_again(
    struct otlpjudge *j, const OTLPJUDGE(ExportMetricsServiceRequest) * req, struct decode *d)
{
	size_t len = protobuf_c_message_get_packed_size(&req->base);
	uint8_t *body = arena_alloc(&j->arena, len + 1);
	protobuf_c_message_pack(&req->base, body);
	batch_clear(&j->all);
	return otlpjudge_decode(j, body, len, d);
}

/* *accepted: did otlp take it? */
static inline const char *otlpjudge(const uint8_t *body, size_t len, bool *accepted)
{
	const ProtobufCMessageDescriptor *what =
	    &opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__descriptor;
	struct otlpjudge j = { .job = "", .instance = "" };
	struct pbmem mem;
	struct decode d;
	size_t bytes;
	arena_init(&j.arena, 4096);
	batch_init(&j.all);
	enum err err = otlpjudge_decode(&j, body, len, &d);
	*accepted = !err;
	pbmem_init(&mem, &j.arena, OTLPJUDGE_MEMORY);
	/* a message given twice, or a NUL in a text: protobuf-c has no last word on these */
	if (!pbcount(what, body, len, OTLPJUDGE_MEMORY, &bytes)) {
		OTLPJUDGE(ExportMetricsServiceRequest) *req =
		    (void *)protobuf_c_message_unpack(what, &mem.allocator, len, body);
		if (req && err == ERR_MALFORMED)
			err = otlpjudge_again(&j, req, &d);
		if (req && err && err != ERR_TOOBIG)
			j.wrong = "refused what the judge takes";
		if (req && !err) {
			j.vague = otlpjudge_large(body, len);
			otlpjudge_request(&j, req);
			if (j.at != j.all.rows_count)
				otlpjudge_wrong(&j, "more rows than the judge");
			if (d.bad != j.bad)
				otlpjudge_wrong(&j, "another number of bad points");
			if (j.vague)
				j.wrong = NULL;
			if (d.records != j.points)
				j.wrong = "another number of data points";
		}
	}
	batch_release(&j.all);
	arena_release(&j.arena);
	return j.wrong;
}

#endif

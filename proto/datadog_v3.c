/*
 * Series and sketches in columns: Payload of intake_v3.proto.
 *
 *   2 metadata { 1 tag, ...  2 type, name, ... } of every series
 *   3 data     dictionaries, then a value of each series in each column, then points of all of them
 *
 * The columns are found first; series are then read one by one, a cursor in each column. A column
 * that ends early ends the body: nobody knows what the next series would be.
 */
#include "proto/datadog_priv.h"
#include "proto/pbscan.h"

#include <inttypes.h>

#include "core/base/num.h"

enum column { /* by their numbers */
	NAMES = 1,
	TAGS = 2,
	TAGSETS = 3,
	RESOURCES = 4,
	RESOURCE_SIZES = 5,
	RESOURCE_TYPES = 6,
	RESOURCE_NAMES = 7,
	SOURCES = 8,
	KINDS = 10,
	NAME_REFS = 11,
	TAGSET_REFS = 12,
	RESOURCE_REFS = 13,
	POINTS = 15,
	TIMES = 16,
	WHOLES = 17,
	FLOATS = 18,
	DOUBLES = 19,
	BINS = 20,
	KEYS = 21,
	COUNTS = 22,
	SOURCE_REFS = 23,
	COLUMNS = 27
};
#define KIND_SKETCH  4u
#define META_MOST    1024u      /* tags and resources of every series */
#define DICT_MOST    (1u << 18) /* a body of an agent, 5 MiB at most, has fewer */
#define RECORDS_TURN 8192u

struct range {
	const uint8_t *p, *end;
};
struct dict { /* places in a column, by reference less one */
	const uint8_t **at;
	size_t count;
};
struct resource_set {
	struct range types, names; /* as far as the columns go */
	uint64_t size;
};
struct columns {
	struct range c[COLUMNS];
	struct range tags; /* the metadata, in place */
	struct dict names, texts_tags, texts_resources, sources, tagsets;
	struct resource_set *sets;
	size_t sets_count;
	int64_t name, tagset, resource, source, time; /* sums of deltas so far */
	bool broken;
	unsigned visits;
};

/* ---- cursors ---- */

static uint64_t number(struct columns *v, enum column which)
{
	uint64_t n = 0;
	struct range *r = &v->c[which];
	v->broken |= !pbscan_varint(&r->p, r->end, PBSCAN_VARINT_BYTES, &n);
	return n;
}

static int64_t zigzag(struct columns *v, enum column which)
{
	return (int64_t)wire_unzigzag(number(v, which));
}

/* Adds a delta; sums run over, as they do where they are made. */
static int64_t sum(struct columns *v, enum column which, int64_t *so_far)
{
	*so_far = (int64_t)((uint64_t)*so_far + (uint64_t)zigzag(v, which));
	return *so_far;
}

static double fixed(struct columns *v, enum column which)
{
	struct range *r = &v->c[which];
	size_t width = which == DOUBLES ? 8 : 4;
	float f;
	if ((size_t)(r->end - r->p) < width) {
		v->broken = true;
		return 0;
	}
	const uint8_t *at = r->p;
	r->p += width;
	if (which == DOUBLES)
		return num_from_bits(wire_load64(at));
	memcpy(&f, at, sizeof(f));
	return (double)f;
}

static double value(struct columns *v, uint64_t kind)
{
	switch (kind & 0xf0) {
	case 0x00:
		return 0;
	case 0x10:
		return (double)zigzag(v, WHOLES);
	case 0x20:
		return fixed(v, FLOATS);
	case 0x30:
		return fixed(v, DOUBLES);
	default:
		v->broken = true;
		return 0;
	}
}

/* ---- dictionaries ---- */

/* Passes over one entry: a text, or a set of references. */
typedef bool (*pass_fn)(const uint8_t **p, const uint8_t *end);

static bool pass_text(const uint8_t **p, const uint8_t *end)
{
	uint64_t len;
	if (!pbscan_varint(p, end, PBSCAN_TAG_BYTES, &len) || len > (size_t)(end - *p))
		return false;
	*p += len;
	return true;
}

static bool pass_set(const uint8_t **p, const uint8_t *end)
{
	uint64_t size, ignored;
	if (!pbscan_varint(p, end, PBSCAN_VARINT_BYTES, &size))
		return false;
	size = wire_unzigzag(size);
	if (size > (size_t)(end - *p))
		return false;
	for (; size; size--)
		if (!pbscan_varint(p, end, PBSCAN_VARINT_BYTES, &ignored))
			return false;
	return true;
}

static bool dict_make(struct datadog *x, const struct range *r, pass_fn pass, struct dict *out)
{
	size_t count = 0;
	const uint8_t *p = r->p;
	for (; p < r->end; count++)
		if (count == DICT_MOST || !pass(&p, r->end))
			return false;
	out->at = arena_array(x->d->keep, count + 1, sizeof(*out->at));
	out->count = count;
	p = r->p;
	for (size_t i = 0; i < count; i++) {
		out->at[i] = p;
		(void)pass(&p, r->end);
	}
	out->at[count] = r->end;
	return true;
}

/* The text of a reference; 0 is the empty one. */
static bool dict_text(const struct dict *d, int64_t ref, const char **s, size_t *len)
{
	uint64_t n;
	*s = "";
	*len = 0;
	if (!ref)
		return true;
	if (ref < 0 || (uint64_t)ref > d->count)
		return false;
	const uint8_t *p = d->at[ref - 1];
	if (!pbscan_varint(&p, d->at[ref], PBSCAN_TAG_BYTES, &n))
		return false;
	*s = (const char *)p;
	*len = (size_t)n;
	return true;
}

/* Sets follow each other in both columns: where each begins is kept. */
static bool sets_make(struct datadog *x, struct columns *v)
{
	struct range sizes = v->c[RESOURCE_SIZES], types = v->c[RESOURCE_TYPES],
	             names = v->c[RESOURCE_NAMES];
	const uint8_t *p = sizes.p;
	size_t count = 0;
	uint64_t n = 0;
	for (; p < sizes.end; count++)
		if (count == DICT_MOST || !pbscan_varint(&p, sizes.end, PBSCAN_VARINT_BYTES, &n))
			return false;
	v->sets = arena_array(x->d->keep, count + 1, sizeof(*v->sets));
	v->sets_count = count;
	for (size_t i = 0; i < count; i++) {
		(void)pbscan_varint(&sizes.p, sizes.end, PBSCAN_VARINT_BYTES, &n);
		v->sets[i] = (struct resource_set){ types, names, n };
		for (uint64_t k = 0, ignored; k < n; k++)
			if (!pbscan_varint(&types.p, types.end, PBSCAN_VARINT_BYTES, &ignored) ||
			    !pbscan_varint(&names.p, names.end, PBSCAN_VARINT_BYTES, &ignored))
				return false;
	}
	return true;
}

/* ---- labels ---- */

/* One more reference of a series. Those that give no label cost time, too: no more than fit. */
static bool visit(struct datadog *x, struct columns *v)
{
	if (v->visits++ < 2 * x->d->limits->write_labels)
		return true;
	return datadog_wrong(x, "more tags than twice the labels that a series may have");
}

static bool tag_ref(struct datadog *x, struct columns *v, int64_t ref)
{
	const char *s;
	size_t len;
	if (!dict_text(&v->texts_tags, ref, &s, &len))
		return datadog_wrong(x, "a tag that is not there: %" PRId64, ref);
	if (len)
		datadog_tag(x, s, len);
	return true;
}

/* Its tags, and those of earlier sets that it names: only earlier ones, so there is an end. */
static bool tagset(struct datadog *x, struct columns *v, int64_t set, unsigned depth)
{
	uint64_t size = 0, delta = 0;
	int64_t ref = 0;
	if (!set)
		return true;
	if (set < 0 || (uint64_t)set > v->tagsets.count)
		return datadog_wrong(x, "a set of tags that is not there: %" PRId64, set);
	if (depth == 32)
		return datadog_wrong(x, "sets of tags stand too deep inside one another");
	const uint8_t *p = v->tagsets.at[set - 1], *end = v->tagsets.at[set];
	(void)pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &size);
	while (p < end && !x->too_many) {
		(void)pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &delta);
		ref = (int64_t)((uint64_t)ref + wire_unzigzag(delta));
		if (!visit(x, v))
			return false;
		if (ref < 0 && ref <= -set)
			return datadog_wrong(x, "a set of tags names a later one");
		if (!(ref < 0 ? tagset(x, v, -ref, depth + 1) : tag_ref(x, v, ref)))
			return false;
	}
	return true;
}

static bool resources(struct datadog *x, struct columns *v, int64_t set)
{
	int64_t type = 0, name = 0;
	uint64_t n = 0;
	if (!set)
		return true;
	if (set < 0 || (uint64_t)set > v->sets_count)
		return datadog_wrong(x, "resources that are not there: %" PRId64, set);
	struct resource_set s = v->sets[set - 1];
	for (uint64_t i = 0; i < s.size && !x->too_many; i++) {
		const char *a, *b;
		size_t a_len, b_len;
		if (!visit(x, v))
			return false;
		(void)pbscan_varint(&s.types.p, s.types.end, PBSCAN_VARINT_BYTES, &n);
		type = (int64_t)((uint64_t)type + wire_unzigzag(n));
		(void)pbscan_varint(&s.names.p, s.names.end, PBSCAN_VARINT_BYTES, &n);
		name = (int64_t)((uint64_t)name + wire_unzigzag(n));
		if (!dict_text(&v->texts_resources, type, &a, &a_len) ||
		    !dict_text(&v->texts_resources, name, &b, &b_len))
			return datadog_wrong(x, "a resource that is not there");
		datadog_label(x, a, a_len, b, b_len);
	}
	return true;
}

/* What the metadata has for every series; it was looked through when it was found. */
static void metadata(struct datadog *x, struct columns *v)
{
	const char *type = NULL;
	size_t type_len = 0;
	for (const uint8_t *p = v->tags.p; p < v->tags.end && !x->too_many;) {
		struct pbscan_field f;
		if (!visit(x, v) || !pbscan_next(&p, v->tags.end, &f))
			return;
		const char *s = (const char *)f.data;
		if (f.wire != PBSCAN_BYTES)
			continue;
		if (f.number == 1) {
			datadog_tag(x, s, f.len);
		} else if (f.number == 2 && !type) {
			type = s;
			type_len = f.len;
		} else if (f.number == 2) {
			datadog_label(x, type, type_len, s, f.len);
			type = NULL;
		}
	}
}

/* ---- series ---- */

static void sketch(struct datadog *x, struct columns *v, uint64_t kind)
{
	struct datadog_sketch s = { .t_ms = datadog_ms(x, (double)sum(v, TIMES, &v->time)) };
	s.sum = value(v, kind);
	s.min = value(v, kind);
	s.max = value(v, kind);
	s.count = zigzag(v, WHOLES);
	uint64_t bins = number(v, BINS);
	int64_t key = 0;
	for (; bins && !v->broken; bins--) {
		uint64_t count;
		(void)sum(v, KEYS, &key);
		count = number(v, COUNTS);
		if (x->why[0])
			continue;
		datadog_bin_key(x, (int32_t)key);
		datadog_bin_count(x, (uint32_t)count);
	}
	if (!v->broken)
		datadog_sketch(x, &s);
}

static void name_and_source(struct datadog *x, struct columns *v)
{
	const char *s;
	size_t len;
	int64_t name = sum(v, NAME_REFS, &v->name), source = 0;
	/* Left out altogether where none has one. */
	if (v->c[SOURCE_REFS].p)
		source = sum(v, SOURCE_REFS, &v->source);
	if (!dict_text(&v->names, name, &s, &len))
		(void)datadog_wrong(x, "a name that is not there: %" PRId64, name);
	else
		datadog_metric(x, s, len);
	if (!dict_text(&v->sources, source, &s, &len))
		(void)datadog_wrong(x, "a source that is not there: %" PRId64, source);
	else
		datadog_label(x, "source_type_name", 16, s, len);
}

static void record(struct datadog *x, struct columns *v)
{
	datadog_begin(x);
	v->visits = 0;
	uint64_t kind = number(v, KINDS);
	int64_t tags = v->c[TAGSET_REFS].p ? sum(v, TAGSET_REFS, &v->tagset) : 0;
	int64_t set = v->c[RESOURCE_REFS].p ? sum(v, RESOURCE_REFS, &v->resource) : 0;
	metadata(x, v);
	name_and_source(x, v);
	(void)(tagset(x, v, tags, 0) && resources(x, v, set));
	for (uint64_t n = number(v, POINTS); n && !v->broken; n--) {
		if ((kind & 15) == KIND_SKETCH) {
			sketch(x, v, kind);
			continue;
		}
		int64_t t_ms = datadog_ms(x, (double)sum(v, TIMES, &v->time));
		datadog_point(x, t_ms, value(v, kind));
	}
	if (!v->broken)
		datadog_end(x);
}

/* ---- the body ---- */

static bool find_columns(struct columns *v, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return false;
		if (f.wire != PBSCAN_BYTES || f.number >= COLUMNS)
			continue;
		if (v->c[f.number].p)
			return false; /* packed columns come once */
		v->c[f.number] = (struct range){ f.data, f.data + f.len };
	}
	return true;
}

static bool metadata_fine(const struct range *r)
{
	const uint8_t *p = r->p;
	struct pbscan_field f;
	unsigned n = 0;
	while (p < r->end)
		if (n++ == META_MOST || !pbscan_next(&p, r->end, &f))
			return false;
	return true;
}

static bool open_body(struct datadog *x, const uint8_t *p, const uint8_t *end)
{
	struct columns *v = arena_zalloc(x->d->keep, sizeof(*v));
	bool found = false;
	while (p < end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, end, &f))
			return false;
		if (f.wire != PBSCAN_BYTES)
			continue;
		if (f.number == 2)
			v->tags = (struct range){ f.data, f.data + f.len };
		if (f.number == 3 && (found || !find_columns(v, f.data, f.len)))
			return false;
		found |= f.number == 3;
	}
	x->more = v;
	return metadata_fine(&v->tags) && dict_make(x, &v->c[NAMES], pass_text, &v->names) &&
	    dict_make(x, &v->c[TAGS], pass_text, &v->texts_tags) &&
	    dict_make(x, &v->c[RESOURCES], pass_text, &v->texts_resources) &&
	    dict_make(x, &v->c[SOURCES], pass_text, &v->sources) &&
	    dict_make(x, &v->c[TAGSETS], pass_set, &v->tagsets) && sets_make(x, v);
}

static enum err next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	struct datadog *x = datadog_of(d);
	(void)last;
	if (!x->more && !open_body(x, *p, end))
		return errbuf_set(
		    eb, ERR_MALFORMED, "the body is no protobuf of columns (intake v3)");
	struct columns *v = x->more;
	for (unsigned n = 0; v->c[KINDS].p < v->c[KINDS].end; n++) {
		/* What was read is not to be seen at one place of the body: any step will do. */
		if (decode_full(d) || n == RECORDS_TURN) {
			*p += end - *p > 1;
			return ERR_OK;
		}
		record(x, v);
		if (v->broken)
			return errbuf_set(eb, ERR_MALFORMED,
			    "the columns of the body end before series %" PRIu64 " is whole",
			    d->records);
	}
	*p = end;
	return ERR_OK;
}

const struct decoder datadog_columns = { .record = "metric", .next = next, .end = datadog_free };

#include "net/recv/pushgroup.h"

#include "core/base/wire.h"
#include "proto/expo.h"
#include "proto/expo_rows.h"
#include "proto/expopb.h"

#include <inttypes.h>

#define FIRST_BYTES 4096u
#define SLOTS_FIRST 16u
#define MAGIC       "KYMOPG1\n"
#define MAGIC_LEN   8u
#define CRC_LEN     4u
#define UNTIMED     (INT64_MIN + 1) /* the time of samples that tell none */

#define PUSHED      "push_time_seconds"
#define FAILED      "push_failure_time_seconds"
#define PUSHED_HELP "Last Unix time when changing this group in the Pushgateway succeeded."
#define FAILED_HELP "Last Unix time when changing this group in the Pushgateway failed."

struct hash128 pushgroup_hash(uint32_t tenant, struct labels labels)
{
	return hash128(labels.len ? (const void *)labels.bytes : "", labels.len, tenant);
}

struct pushgroup *pushgroup_new(uint32_t tenant, struct labels labels)
{
	struct pushgroup *g = mem_zalloc(sizeof(*g));
	arena_init(&g->arena, FIRST_BYTES);
	g->tenant = tenant;
	g->labels = (struct labels){ .bytes = arena_dup(&g->arena, labels.bytes, labels.len),
		.len = labels.len };
	g->hash = pushgroup_hash(tenant, labels);
	list_init(&g->by_tenant);
	list_init(&g->by_due);
	g->refs = 1;
	return g;
}

void pushgroup_free(struct pushgroup *g)
{
	if (!g)
		return;
	arena_release(&g->arena);
	mem_free(g);
}

/* ---- families ---- */

static uint32_t *slot_of(const struct pushgroup *g, const char *name, size_t len)
{
	uint32_t at = (uint32_t)hash64(name, len, 0) & g->_slots_mask;
	for (; g->_slots[at]; at = (at + 1) & g->_slots_mask) {
		const struct push_family *f = &g->families[g->_slots[at] - 1];
		if (bytes_equal(f->name, f->name_len, name, len))
			break;
	}
	return &g->_slots[at];
}

const struct push_family *pushgroup_family(const struct pushgroup *g, const char *name, size_t len)
{
	uint32_t at = g->_slots ? *slot_of(g, name, len) : 0;
	return at ? &g->families[at - 1] : NULL;
}

static void slots_grow(struct pushgroup *g)
{
	uint32_t count = g->_slots ? 2 * (g->_slots_mask + 1) : SLOTS_FIRST;
	g->_slots = arena_zalloc(&g->arena, count * sizeof(*g->_slots));
	g->_slots_mask = count - 1;
	for (uint32_t i = 0; i < g->families_count; i++)
		*slot_of(g, g->families[i].name, g->families[i].name_len) = i + 1;
}

static struct push_family *family_get(struct pushgroup *g, const char *name, size_t len)
{
	if (!g->_slots || 2 * g->families_count > g->_slots_mask)
		slots_grow(g);
	uint32_t *slot = slot_of(g, name, len);
	if (*slot)
		return &g->families[*slot - 1];
	if (g->families_count == g->families_cap) {
		uint32_t cap = g->families_cap ? 2 * g->families_cap : 16;
		struct push_family *more = arena_array(&g->arena, cap, sizeof(*more));
		if (g->families_count)
			memcpy(more, g->families, g->families_count * sizeof(*more));
		g->families = more;
		g->families_cap = cap;
	}
	struct push_family *f = &g->families[g->families_count++];
	*slot = g->families_count;
	*f = (struct push_family){ .name = arena_strndup(&g->arena, name, len),
		.help = "",
		.unit = "",
		.name_len = (uint32_t)len };
	return f;
}

static const char *text_dup(struct pushgroup *g, const char *s, uint32_t len)
{
	return len ? arena_strndup(&g->arena, s, len) : "";
}

static struct push_row *row_add(struct pushgroup *g, struct push_family *f)
{
	if (f->rows_count == f->rows_cap) {
		uint32_t cap = f->rows_cap ? 2 * f->rows_cap : 4;
		struct push_row *more = arena_array(&g->arena, cap, sizeof(*more));
		if (f->rows_count)
			memcpy(more, f->rows, f->rows_count * sizeof(*more));
		f->rows = more;
		f->rows_cap = cap;
	}
	g->rows++;
	return &f->rows[f->rows_count++];
}

/* ---- a body ---- */

/* The labels of the key win. */
static struct labels under_key(struct pushgroup *g, struct arena *scratch, struct labels ls)
{
	struct label_builder b;
	struct label l;
	label_builder_from(&b, scratch, ls);
	for (struct label_iter it = label_iter(g->labels); label_next(&it, &l);)
		label_builder_set(&b, l.name, l.name_len, l.value, l.value_len);
	struct labels out = label_builder_done(&b);
	out.bytes = arena_dup(&g->arena, out.bytes, out.len);
	return out;
}

static bool ends_in(const char *s, size_t len, const char *tail, size_t *base)
{
	size_t n = strlen(tail);
	*base = len - n;
	return len > n && memcmp(s + len - n, tail, n) == 0;
}

/* The family of a series' name: of a summary or histogram without its suffix. */
static struct push_family *family_of(struct pushgroup *g, const char *name, size_t len)
{
	static const char *const tails[] = { "_bucket", "_sum", "_count" };
	for (size_t i = 0; i < COUNT_OF(tails); i++) {
		size_t base;
		if (!ends_in(name, len, tails[i], &base))
			continue;
		const struct push_family *f = pushgroup_family(g, name, base);
		if (f &&
		    (f->type == EXPO_HISTOGRAM || f->type == EXPO_GAUGEHISTOGRAM ||
		        (f->type == EXPO_SUMMARY && i)))
			return family_get(g, name, base);
	}
	return family_get(g, name, len);
}

static bool is_time_family(const char *s, size_t len)
{
	return bytes_equal(s, len, PUSHED, sizeof(PUSHED) - 1) ||
	    bytes_equal(s, len, FAILED, sizeof(FAILED) - 1);
}

static enum err take_row(struct pushgroup *g, struct arena *scratch, const struct batch_row *r,
    int64_t now_ms, struct errbuf *eb)
{
	struct labels ls = { r->labels, r->labels_len };
	uint32_t len = 0;
	const char *name = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	if (r->t_ms != UNTIMED)
		return errbuf_set(eb, ERR_BADDATA, "pushed metrics must not have timestamps");
	if (!name || is_time_family(name, len))
		return ERR_OK;
	struct push_family *f = family_of(g, name, len);
	struct push_row *row = row_add(g, f);
	struct labels whole = under_key(g, scratch, ls);
	f->pushed_ms = now_ms;
	*row = (struct push_row){ .labels = whole.bytes, .labels_len = whole.len, .v = r->v };
	if (r->flags & BATCH_EXTRA) {
		row->v = r->extra->v;
		row->hist = r->extra->hist ? hist_copy(&g->arena, r->extra->hist) : NULL;
	}
	return ERR_OK;
}

static void take_meta(struct pushgroup *g, const struct batch_meta *m, int64_t now_ms)
{
	if (is_time_family(m->family, m->family_len))
		return;
	struct push_family *f = family_get(g, m->family, m->family_len);
	f->type = m->type;
	f->help = text_dup(g, m->help, m->help_len);
	f->help_len = m->help_len;
	f->unit = text_dup(g, m->unit, m->unit_len);
	f->unit_len = m->unit_len;
	f->pushed_ms = now_ms;
}

static enum err has_room(const struct pushgroup *g, struct errbuf *eb)
{
	if (!g->max_bytes || arena_used(&g->arena) <= g->max_bytes)
		return ERR_OK;
	return errbuf_set(eb, ERR_TOOBIG,
	    "a group would take too many bytes: limit %" PRIu64 " (receivers.pushgateway.max_bytes)",
	    g->max_bytes);
}

static enum err take_batch(struct pushgroup *g, struct decode *d, struct errbuf *eb)
{
	enum err e = ERR_OK;
	struct arena scratch;
	arena_init(&scratch, FIRST_BYTES);
	for (size_t i = 0; i < d->batch->metas_count && !e; i++) {
		take_meta(g, &d->batch->metas[i], d->now_ms);
		e = has_room(g, eb);
	}
	for (size_t i = 0; i < d->batch->rows_count && !e; i++) {
		e = take_row(g, &scratch, &d->batch->rows[i], d->now_ms, eb);
		arena_reset(&scratch, SIZE_MAX);
		if (!e)
			e = has_room(g, eb);
	}
	arena_release(&scratch);
	if (!e && g->rows > d->limits->write_samples) {
		char text[LIMITS_TEXT_MAX];
		e = errbuf_set(eb, ERR_BADDATA, "a push has more than %" PRIu64 " samples: %s",
		    d->limits->write_samples, limits_text(d->limits, LIMITS_write_samples, text));
	}
	batch_clear(d->batch);
	arena_reset(d->arena, 0);
	return e;
}

static enum err read_all(struct pushgroup *g, const struct decoder *kind, struct decode *d,
    const uint8_t *body, size_t len, struct errbuf *eb)
{
	const uint8_t *p = body, *end = body + len;
	enum err e = ERR_OK;
	for (bool first = true; !e && (first || p < end); first = false) {
		e = kind->next(d, &p, end, true, eb);
		if (!e && d->bad)
			e = errbuf_set(eb, ERR_MALFORMED, "%s", d->bad_text);
		if (!e)
			e = take_batch(g, d, eb);
	}
	return e;
}

/* Families of which nothing came are none. */
static void drop_empty(struct pushgroup *g)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < g->families_count; i++)
		if (g->families[i].rows_count)
			g->families[kept++] = g->families[i];
	g->families_count = kept;
	if (g->_slots)
		memset(g->_slots, 0, (g->_slots_mask + 1) * sizeof(*g->_slots));
	for (uint32_t i = 0; i < kept; i++)
		*slot_of(g, g->families[i].name, g->families[i].name_len) = i + 1;
}

enum err pushgroup_read(struct pushgroup *g, enum push_form form, const uint8_t *body, size_t len,
    const struct limits *limits, int64_t now_ms, struct errbuf *eb)
{
	static const uint8_t nothing[1];
	const struct decoder *kind = form == PUSH_TEXT ? &expo_decoder : &expopb_decoder;
	struct expo_opts text = { .t_ms = UNTIMED };
	struct expopb_opts pb = { .t_ms = UNTIMED, .classic = true };
	struct arena arena, keep;
	struct batch batch;
	struct errbuf why;
	arena_init(&arena, FIRST_BYTES);
	arena_init(&keep, FIRST_BYTES);
	batch_init(&batch);
	errbuf_init(&why);
	struct decode d = { .limits = limits,
		.now_ms = now_ms,
		.opts = form == PUSH_TEXT ? (const void *)&text : &pb,
		.arena = &arena,
		.keep = &keep,
		.batch = &batch };
	enum err e = read_all(g, kind, &d, body ? body : nothing, len, &why);
	if (d.own && kind->end)
		kind->end(&d);
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
	drop_empty(g);
	if (e == ERR_MALFORMED && form == PUSH_TEXT)
		return errbuf_set(eb, e, "text format parsing error in %s", why.text);
	return e ? errbuf_set(eb, e, "%s", why.text) : ERR_OK;
}

/* ---- what was, and times ---- */

void pushgroup_keep(struct pushgroup *g, const struct pushgroup *old)
{
	for (uint32_t i = 0; i < old->families_count; i++) {
		const struct push_family *from = &old->families[i];
		if (is_time_family(from->name, from->name_len) ||
		    pushgroup_family(g, from->name, from->name_len))
			continue;
		struct push_family *f = family_get(g, from->name, from->name_len);
		f->type = from->type;
		f->pushed_ms = from->pushed_ms;
		f->help = text_dup(g, from->help, f->help_len = from->help_len);
		f->unit = text_dup(g, from->unit, f->unit_len = from->unit_len);
		for (uint32_t k = 0; k < from->rows_count; k++) {
			const struct push_row *r = &from->rows[k];
			*row_add(g, f) = (struct push_row){ .labels = arena_dup(&g->arena,
				                                r->labels, r->labels_len),
				.labels_len = r->labels_len,
				.v = r->v,
				.hist = r->hist ? hist_copy(&g->arena, r->hist) : NULL };
		}
	}
}

static void time_family(
    struct pushgroup *g, const char *name, const char *help, int64_t ms, int64_t told_ms)
{
	struct push_family *f = family_get(g, name, strlen(name));
	struct label_builder b;
	f->type = EXPO_GAUGE;
	f->help = help;
	f->help_len = (uint32_t)strlen(help);
	f->pushed_ms = told_ms;
	label_builder_from(&b, &g->arena, g->labels);
	label_builder_set(&b, LABEL_NAME, sizeof(LABEL_NAME) - 1, name, strlen(name));
	struct labels ls = label_builder_done(&b);
	*row_add(g, f) =
	    (struct push_row){ .labels = ls.bytes, .labels_len = ls.len, .v = (double)ms / 1000 };
}

void pushgroup_times(struct pushgroup *g, int64_t pushed_ms, int64_t failed_ms)
{
	g->pushed_ms = pushed_ms;
	g->failed_ms = failed_ms;
	time_family(g, PUSHED, PUSHED_HELP, pushed_ms, pushed_ms ? pushed_ms : failed_ms);
	time_family(g, FAILED, FAILED_HELP, failed_ms, failed_ms ? failed_ms : pushed_ms);
}

/* ---- files ---- */

static void put_row(struct buf *out, const struct push_row *r)
{
	wire_put_lenbytes(out, r->labels, r->labels_len);
	buf_add_u8(out, r->hist != NULL);
	if (!r->hist) {
		wire_put_f64(out, r->v);
		return;
	}
	struct buf h;
	buf_init(&h);
	hist_encode(r->hist, &h);
	wire_put_lenbytes(out, h.data, h.len);
	buf_release(&h);
}

void pushgroup_encode(const struct pushgroup *g, struct buf *out)
{
	uint32_t families = 0;
	buf_add(out, MAGIC, MAGIC_LEN);
	wire_put_varint(out, g->tenant);
	wire_put_lenbytes(out, g->labels.bytes, g->labels.len);
	wire_put_varint(out, (uint64_t)g->pushed_ms);
	wire_put_varint(out, (uint64_t)g->failed_ms);
	for (uint32_t i = 0; i < g->families_count; i++)
		families += !is_time_family(g->families[i].name, g->families[i].name_len);
	wire_put_varint(out, families);
	for (uint32_t i = 0; i < g->families_count; i++) {
		const struct push_family *f = &g->families[i];
		if (is_time_family(f->name, f->name_len))
			continue;
		wire_put_lenbytes(out, f->name, f->name_len);
		wire_put_lenbytes(out, f->help, f->help_len);
		wire_put_lenbytes(out, f->unit, f->unit_len);
		buf_add_u8(out, f->type);
		wire_put_varint(out, (uint64_t)f->pushed_ms);
		wire_put_varint(out, f->rows_count);
		for (uint32_t k = 0; k < f->rows_count; k++)
			put_row(out, &f->rows[k]);
	}
	wire_put_u32(out, crc32c(0, out->data, out->len));
}

static bool get_row(struct pushgroup *g, struct wire_reader *r, struct push_family *f)
{
	size_t len;
	const uint8_t *labels = wire_lenbytes(r, &len);
	if (!labels || !label_is_canonical((struct labels){ labels, (uint32_t)len }))
		return false;
	struct push_row *row = row_add(g, f);
	*row = (struct push_row){ .labels = arena_dup(&g->arena, labels, len),
		.labels_len = (uint32_t)len };
	if (!wire_u8(r)) {
		row->v = wire_f64(r);
		return !r->bad;
	}
	const uint8_t *bytes = wire_lenbytes(r, &len);
	struct hist *h = arena_zalloc(&g->arena, sizeof(*h));
	row->hist = h;
	return bytes && !hist_decode(&g->arena, bytes, len, h, NULL) && !hist_check(h, NULL);
}

static const char *get_text(struct pushgroup *g, struct wire_reader *r, uint32_t *len)
{
	size_t n;
	const uint8_t *s = wire_lenbytes(r, &n);
	*len = (uint32_t)n;
	return s ? text_dup(g, (const char *)s, (uint32_t)n) : "";
}

static bool get_family(struct pushgroup *g, struct wire_reader *r)
{
	uint32_t len;
	const char *name = get_text(g, r, &len);
	if (r->bad || !len || pushgroup_family(g, name, len))
		return false;
	struct push_family *f = family_get(g, name, len);
	f->help = get_text(g, r, &f->help_len);
	f->unit = get_text(g, r, &f->unit_len);
	f->type = wire_u8(r);
	f->pushed_ms = (int64_t)wire_varint(r);
	uint64_t rows = wire_varint(r);
	if (r->bad || f->type >= EXPO_TYPES)
		return false;
	for (uint64_t i = 0; i < rows; i++)
		if (!get_row(g, r, f))
			return false;
	return true;
}

struct pushgroup *pushgroup_decode(const uint8_t *data, size_t len)
{
	if (len < MAGIC_LEN + CRC_LEN || memcmp(data, MAGIC, MAGIC_LEN) != 0 ||
	    crc32c(0, data, len - CRC_LEN) != wire_load32(data + len - CRC_LEN))
		return NULL;
	struct wire_reader r = wire_reader(data + MAGIC_LEN, len - MAGIC_LEN - CRC_LEN);
	size_t n;
	uint64_t tenant = wire_varint(&r);
	const uint8_t *key = wire_lenbytes(&r, &n);
	int64_t pushed_ms = (int64_t)wire_varint(&r), failed_ms = (int64_t)wire_varint(&r);
	uint64_t families = wire_varint(&r);
	struct labels ls = { key, (uint32_t)n };
	if (r.bad || tenant > UINT32_MAX || !label_is_canonical(ls))
		return NULL;
	struct pushgroup *g = pushgroup_new((uint32_t)tenant, ls);
	for (uint64_t i = 0; i < families; i++)
		if (!get_family(g, &r)) {
			pushgroup_free(g);
			return NULL;
		}
	pushgroup_times(g, pushed_ms, failed_ms);
	return g;
}

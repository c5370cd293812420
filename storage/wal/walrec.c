#include "storage/wal/walrec.h"

#include "core/base/arena.h"
#include "core/model/exemplar.h"
#include "core/model/hist.h"

#define RUN_MAX   32u /* bytes a run takes at most: three varints */
#define ROWS_HEAD 16u /* tag, kind, count */
#define EXTRA_MIN 3u

/* ---- Writer ---- */

static void group_close(struct walrec_writer *w)
{
	if (!w->_group_at)
		return;
	size_t len = w->buf->len - w->_group_at - 4;
	CHECK(len <= UINT32_MAX);
	wire_store32(w->buf->data + w->_group_at, (uint32_t)len);
	w->_group_at = 0;
}

void walrec_begin(struct walrec_writer *w, struct buf *buf)
{
	*w = (struct walrec_writer){ .buf = buf };
	buf_add_u8(buf, WALREC_VERSION);
}

void walrec_group(struct walrec_writer *w, uint32_t shard, uint64_t number)
{
	CHECK(shard < WALREC_SHARDS_MAX);
	CHECK(number > 0);
	group_close(w);
	buf_add_u8(w->buf, WALREC_GROUP);
	wire_put_varint(w->buf, shard);
	wire_put_varint(w->buf, number);
	w->_group_at = w->buf->len;
	wire_put_u32(w->buf, 0);
}

void walrec_def(
    struct walrec_writer *w, uint32_t id, uint32_t tenant, const void *labels, size_t labels_len)
{
	CHECK(w->_group_at);
	CHECK(labels_len <= WALREC_LABELS_MAX);
	CHECK(buf_reserve(w->buf, labels_len + RUN_MAX));
	uint8_t *p = w->buf->data + w->buf->len;
	*p++ = WALREC_DEF;
	p = wire_store_varint(p, id);
	p = wire_store_varint(p, tenant);
	p = wire_store_varint(p, labels_len);
	if (labels_len)
		memcpy(p, labels, labels_len);
	w->buf->len = (size_t)(p - w->buf->data) + labels_len;
}

static void run_put(struct buf *b, uint64_t off, size_t len, uint64_t step_off)
{
	CHECK(buf_reserve(b, RUN_MAX));
	uint8_t *p = wire_store_varint(b->data + b->len, wire_zigzag_of(off));
	p = wire_store_varint(p, (uint64_t)len << 1 | (step_off != 0));
	if (step_off)
		p = wire_store_varint(p, wire_zigzag_of(step_off));
	b->len = (size_t)(p - b->data);
}

/*
 * How far the run from i (at least two long) goes. Eight at a time, without a branch between them:
 * usual runs have thousands.
 */
#define RUN_END(j, count, values, step)                                                            \
 do {                                                                                              \
  while ((count) - (j) >= 8) {                                                                     \
   uint64_t off_ = 0;                                                                              \
   for (size_t k_ = 0; k_ < 8; k_++)                                                               \
    off_ |= ((uint64_t)(values)[(j) + k_] - (uint64_t)(values)[(j) + k_ - 1]) ^ (uint64_t)(step);  \
   if (off_)                                                                                       \
    break;                                                                                         \
   (j) += 8;                                                                                       \
  }                                                                                                \
  while ((j) < (count) && (uint64_t)(values)[j] - (uint64_t)(values)[(j)-1] == (uint64_t)(step))   \
   (j)++;                                                                                          \
 } while (0)

static void ids_put(struct buf *b, size_t count, const uint32_t *ids)
{
	int64_t next = 0;
	for (size_t i = 0, j; i < count; i = j) {
		j = i + 1;
		int64_t step = 1;
		if (j < count) {
			step = (int64_t)ids[j] - ids[i];
			RUN_END(j, count, ids, step);
		}
		run_put(b, (uint64_t)(ids[i] - next), j - i, (uint64_t)(step - 1));
		next = (int64_t)ids[j - 1] + 1;
	}
}

/* Differences of times wrap around: any two have one, and the reader wraps back. */
static void times_put(struct buf *b, size_t count, const int64_t *t_ms)
{
	uint64_t next = 0;
	for (size_t i = 0, j; i < count; i = j) {
		j = i + 1;
		uint64_t step = 0;
		if (j < count) {
			step = (uint64_t)t_ms[j] - (uint64_t)t_ms[i];
			RUN_END(j, count, t_ms, step);
		}
		run_put(b, (uint64_t)t_ms[i] - next, j - i, step);
		next = (uint64_t)t_ms[j - 1];
	}
}

static void rows_put(struct walrec_writer *w, enum walrec_kind kind, size_t count,
    const uint32_t *ids, const int64_t *t_ms, const double *v)
{
	CHECK(w->_group_at);
	CHECK(count >= 1 && count <= WALREC_ROWS_MAX);
	struct buf *b = w->buf;
	CHECK(buf_reserve(b, ROWS_HEAD + 2 * RUN_MAX + 8 * count));
	uint8_t *p = b->data + b->len;
	*p++ = WALREC_ROWS;
	*p++ = (uint8_t)kind;
	p = wire_store_varint(p, count);
	b->len = (size_t)(p - b->data);
	ids_put(b, count, ids);
	times_put(b, count, t_ms);
	buf_add(b, v, 8 * count);
}

void walrec_rows(struct walrec_writer *w, size_t count, const uint32_t *ids, const int64_t *t_ms,
    const double *v)
{
	rows_put(w, WALREC_FLOAT, count, ids, t_ms, v);
}

void walrec_rows_extras(struct walrec_writer *w, size_t count, const uint32_t *ids,
    const int64_t *t_ms, const double *v, size_t extras_count, const struct walrec_extra *extras)
{
	uint32_t from = 0;
	rows_put(w, WALREC_EXTRAS, count, ids, t_ms, v);
	size_t began = w->buf->len;
	wire_put_varint(w->buf, extras_count);
	for (size_t i = 0; i < extras_count; i++) {
		const struct walrec_extra *x = &extras[i];
		CHECK(x->row >= from && x->row < count);
		CHECK(sample_is_hist(v[x->row]) == (x->hist_len > 0));
		wire_put_varint(w->buf, x->row - from);
		wire_put_zigzag(w->buf, x->start_ms);
		wire_put_lenbytes(w->buf, x->hist, x->hist_len);
		from = x->row + 1;
	}
	CHECK(w->buf->len - began <= WALREC_EXTRAS_BYTES + 32 * (extras_count + 1));
}

void walrec_meta(struct walrec_writer *w, const struct walrec_meta *m)
{
	CHECK(w->_group_at);
	CHECK(m->family_len <= WALREC_LABELS_MAX);
	CHECK(m->help_len <= WALREC_LABELS_MAX);
	CHECK(m->unit_len <= WALREC_LABELS_MAX);
	buf_add_u8(w->buf, WALREC_META);
	wire_put_varint(w->buf, m->tenant);
	buf_add_u8(w->buf, m->type);
	wire_put_lenbytes(w->buf, m->family, m->family_len);
	wire_put_lenbytes(w->buf, m->help, m->help_len);
	wire_put_lenbytes(w->buf, m->unit, m->unit_len);
}

void walrec_tomb(struct walrec_writer *w, const void *data, size_t len)
{
	CHECK(w->_group_at);
	CHECK(len <= WALREC_LABELS_MAX);
	buf_add_u8(w->buf, WALREC_TOMB);
	wire_put_lenbytes(w->buf, data, len);
}

void walrec_own(struct walrec_writer *w)
{
	CHECK(w->_group_at);
	buf_add_u8(w->buf, WALREC_OWN);
}

void walrec_exemplars(struct walrec_writer *w, uint32_t id, const void *list, size_t len)
{
	CHECK(w->_group_at);
	CHECK(len <= WALREC_LABELS_MAX);
	buf_add_u8(w->buf, WALREC_EXEMPLARS);
	wire_put_varint(w->buf, id);
	wire_put_lenbytes(w->buf, list, len);
}

void walrec_newest(struct walrec_writer *w, uint32_t tenant, bool own, int64_t t_ms)
{
	CHECK(w->_group_at);
	buf_add_u8(w->buf, WALREC_NEWEST);
	wire_put_varint(w->buf, tenant);
	buf_add_u8(w->buf, own);
	wire_put_varint(w->buf, wire_zigzag_of((uint64_t)t_ms));
}

void walrec_end(struct walrec_writer *w)
{
	group_close(w);
	CHECK(!w->buf->over);
}

/* ---- Groups ---- */

void walrec_groups_init(struct walrec_groups *it, const void *payload, size_t len)
{
	const uint8_t *p = payload;
	*it = (struct walrec_groups){ .p = p, .end = p };
	if (len == 0)
		return; /* a mark */
	it->end += len;
	it->version = *it->p++;
	if (it->version < WALREC_VERSION_NO_NEWEST || it->version > WALREC_VERSION)
		it->err = ERR_UNSUPPORTED;
}

bool walrec_groups_next(struct walrec_groups *it, struct walrec_group *out)
{
	if (it->err || it->p == it->end)
		return false;
	struct wire_reader r = wire_reader(it->p, (size_t)(it->end - it->p));
	uint8_t tag = wire_u8(&r);
	uint64_t shard = wire_varint(&r);
	uint64_t number = wire_varint(&r);
	uint32_t len = wire_u32(&r);
	const uint8_t *records = wire_bytes(&r, len);
	if (r.bad || tag != WALREC_GROUP || shard >= WALREC_SHARDS_MAX || number == 0) {
		it->err = ERR_MALFORMED;
		return false;
	}
	*out = (struct walrec_group){ .shard = (uint32_t)shard,
		.number = number,
		.records = records,
		.records_len = len,
		.version = it->version };
	it->p = r.p;
	return true;
}

/* ---- Records ---- */

void walrec_reader_init(struct walrec_reader *r)
{
	*r = (struct walrec_reader){ 0 };
	arena_init(&r->_hists, 4096);
}

void walrec_reader_release(struct walrec_reader *r)
{
	mem_free(r->_ids);
	mem_free(r->_t_ms);
	mem_free(r->_v);
	mem_free(r->_extras);
	arena_release(&r->_hists);
	walrec_reader_init(r);
}

void walrec_reader_open(struct walrec_reader *r, const struct walrec_group *g)
{
	r->p = g->records;
	r->end = g->records + g->records_len;
	r->_floats = g->version <= WALREC_VERSION_FLOATS;
	r->err = ERR_OK;
}

/* Varints of up to four bytes, as runs of random ids have, are taken without a loop. */
static inline uint64_t run_varint(struct wire_reader *w)
{
	if (LIKELY(wire_left(w) >= 8)) {
		uint32_t v = wire_load32(w->p), ends = ~v & 0x80808080u;
		if (LIKELY(ends)) {
			unsigned bits = (unsigned)__builtin_ctz(ends) + 1; /* 8, 16, 24 or 32 */
			v &= (uint32_t)((UINT64_C(1) << bits) - 1);
			w->p += bits / 8;
			return (v & 0x7f) | (v >> 8 & 0x7f) << 7 | (v >> 16 & 0x7f) << 14 |
			    (v >> 24 & 0x7f) << 21;
		}
	}
	return wire_varint(w);
}

/* One run; false when it is broken or longer than what is left. */
static inline bool run_get(
    struct wire_reader *w, size_t left, uint64_t *off, size_t *len, uint64_t *step_off)
{
	*off = wire_unzigzag(run_varint(w));
	uint64_t n = run_varint(w);
	*step_off = n & 1 ? wire_unzigzag(run_varint(w)) : 0;
	n >>= 1;
	if (w->bad || n == 0 || n > left)
		return false;
	*len = (size_t)n;
	return true;
}

static bool ids_get(struct wire_reader *w, size_t count, uint32_t *ids)
{
	uint64_t next = 0, off, step;
	for (size_t i = 0, len; i < count; i += len) {
		if (!run_get(w, count - i, &off, &len, &step))
			return false;
		uint64_t first = next + off;
		step += 1;
		/*
		 * Steps are differences of two ids and runs are short: the last value cannot wrap
		 * unseen.
		 */
		if ((int64_t)step > UINT32_MAX || (int64_t)step < -(int64_t)UINT32_MAX)
			return false;
		uint64_t last = first + step * (len - 1);
		if (first > UINT32_MAX || last > UINT32_MAX)
			return false;
		for (size_t j = 0; j < len; j++)
			ids[i + j] = (uint32_t)(first + step * j);
		next = last + 1;
	}
	return true;
}

static bool times_get(struct wire_reader *w, size_t count, int64_t *t_ms)
{
	uint64_t next = 0, off, step;
	for (size_t i = 0, len; i < count; i += len) {
		if (!run_get(w, count - i, &off, &len, &step))
			return false;
		uint64_t first = next + off;
		for (size_t j = 0; j < len; j++)
			t_ms[i + j] = (int64_t)(first + step * j);
		next = first + step * (len - 1);
	}
	return true;
}

/* One of the extras; false: broken. */
static bool extra_get(struct walrec_reader *r, struct wire_reader *w,
    const struct walrec_record *rows, uint32_t from, struct walrec_extra *out)
{
	size_t len, used = 0;
	struct hist h;
	uint64_t skip = wire_varint(w);
	int64_t start_ms = wire_zigzag(w);
	const uint8_t *hist = wire_lenbytes(w, &len);
	if (w->bad || skip >= rows->count - from || len > UINT32_MAX)
		return false;
	*out = (struct walrec_extra){ .row = from + (uint32_t)skip,
		.hist_len = (uint32_t)len,
		.start_ms = start_ms,
		.hist = len ? hist : NULL };
	if (sample_is_hist(rows->v[out->row]) != (len > 0))
		return false;
	if (!len)
		return true;
	bool whole = !hist_decode(&r->_hists, hist, len, &h, &used) && used == len;
	arena_reset(&r->_hists, SIZE_MAX);
	return whole;
}

/* Each row that says it is a histogram has one. */
static bool extras_get(struct walrec_reader *r, struct wire_reader *w, struct walrec_record *out)
{
	uint64_t count = wire_varint(w), hists = 0;
	uint32_t from = 0;
	if (w->bad || count > out->count || count > wire_left(w) / EXTRA_MIN)
		return false;
	if (count > r->_extras_cap) {
		r->_extras_cap = (size_t)count;
		r->_extras = mem_array(r->_extras, r->_extras_cap, sizeof(*r->_extras));
	}
	for (size_t i = 0; i < count; i++) {
		if (!extra_get(r, w, out, from, &r->_extras[i]))
			return false;
		from = r->_extras[i].row + 1;
		hists += r->_extras[i].hist_len > 0;
	}
	for (size_t i = 0; i < out->count; i++)
		hists -= sample_is_hist(out->v[i]);
	out->extras = r->_extras;
	out->extras_count = (size_t)count;
	return hists == 0;
}

static enum err rows_get(struct walrec_reader *r, struct wire_reader *w, struct walrec_record *out)
{
	uint8_t kind = wire_u8(w);
	uint64_t count = wire_varint(w);
	if (!w->bad && kind > WALREC_EXTRAS)
		return ERR_UNSUPPORTED;
	if (w->bad || count == 0 || count > WALREC_ROWS_MAX || count > wire_left(w) / 8)
		return ERR_MALFORMED;
	if (count > r->_cap) {
		r->_cap = (size_t)count;
		r->_ids = mem_array(r->_ids, r->_cap, sizeof(*r->_ids));
		r->_t_ms = mem_array(r->_t_ms, r->_cap, sizeof(*r->_t_ms));
		r->_v = mem_array(r->_v, r->_cap, sizeof(*r->_v));
	}
	if (!ids_get(w, (size_t)count, r->_ids) || !times_get(w, (size_t)count, r->_t_ms))
		return ERR_MALFORMED;
	const uint8_t *values = wire_bytes(w, (size_t)count * 8);
	if (!values)
		return ERR_MALFORMED;
	memcpy(r->_v, values, (size_t)count * 8);
	for (size_t i = 0; kind == WALREC_FLOAT && r->_floats && i < count; i++)
		if (sample_is_hist(r->_v[i]))
			r->_v[i] = num_from_bits(SAMPLE_NAN_BITS);
	out->count = (size_t)count;
	out->ids = r->_ids;
	out->t_ms = r->_t_ms;
	out->v = r->_v;
	return kind == WALREC_EXTRAS && !extras_get(r, w, out) ? ERR_MALFORMED : ERR_OK;
}

static uint32_t u32_get(struct wire_reader *w)
{
	uint64_t v = wire_varint(w);
	if (v > UINT32_MAX)
		w->bad = true;
	return (uint32_t)v;
}

static const uint8_t *bytes_get(struct wire_reader *w, size_t *len)
{
	const uint8_t *p = wire_lenbytes(w, len);
	if (*len > WALREC_LABELS_MAX)
		w->bad = true;
	return p;
}

/* Each of the list is whole. */
static void exemplars_get(struct wire_reader *w, struct walrec_record *out)
{
	struct exemplar e;
	out->id = u32_get(w);
	out->bytes = bytes_get(w, &out->bytes_len);
	if (w->bad)
		return;
	struct wire_reader list = wire_reader(out->bytes, out->bytes_len);
	while (exemplar_get(&list, &e))
		continue;
	w->bad = list.bad;
}

static bool own_get(struct wire_reader *w)
{
	uint8_t own = wire_u8(w);
	if (own > 1)
		w->bad = true;
	return own != 0;
}

bool walrec_next(struct walrec_reader *r, struct walrec_record *out)
{
	if (r->err || r->p == r->end)
		return false;
	struct wire_reader w = wire_reader(r->p, (size_t)(r->end - r->p));
	uint8_t tag = wire_u8(&w);
	*out = (struct walrec_record){ .tag = tag };
	enum err e = ERR_OK;
	switch (tag) {
	case WALREC_DEF:
		out->id = u32_get(&w);
		out->tenant = u32_get(&w);
		out->bytes = bytes_get(&w, &out->bytes_len);
		break;
	case WALREC_ROWS:
		e = rows_get(r, &w, out);
		break;
	case WALREC_META:
		out->meta.tenant = u32_get(&w);
		out->meta.type = wire_u8(&w);
		out->meta.family = bytes_get(&w, &out->meta.family_len);
		out->meta.help = bytes_get(&w, &out->meta.help_len);
		out->meta.unit = bytes_get(&w, &out->meta.unit_len);
		break;
	case WALREC_TOMB:
		out->bytes = bytes_get(&w, &out->bytes_len);
		break;
	case WALREC_OWN:
		break;
	case WALREC_NEWEST:
		out->tenant = u32_get(&w);
		out->own = own_get(&w);
		out->newest_ms = (int64_t)wire_unzigzag(wire_varint(&w));
		break;
	case WALREC_EXEMPLARS:
		exemplars_get(&w, out);
		break;
	default: /* a later format: what it says must not be passed over */
		e = ERR_UNSUPPORTED;
		break;
	}
	if (!e && w.bad)
		e = ERR_MALFORMED;
	if (e) {
		r->err = e;
		return false;
	}
	r->p = w.p;
	return true;
}

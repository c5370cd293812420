#include "bench/load/rwbody.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/model/hist.h"
#include "proto/pbhist.h"
#include "proto/rw2.h"
#include "proto/snapz.h"

#define TRACE_LABEL "trace_id"

struct rwbody {
	struct rwbody_opts o;
	struct rwbody_counts *counts;
	struct buf raw, packed, part;
	struct rw2_enc enc;
};

static void count(struct rwbody *b, const struct loadgen_row *r)
{
	struct rwbody_counts *c = b->counts;
	c->samples++;
	c->exemplars += r->exemplar;
	if (r->hist) {
		c->hists++;
		return;
	}
	c->odd |= !isfinite(r->v);
	c->sum += r->v;
	c->size += fabs(r->v);
}

static void trace_text(const struct loadgen_row *r, char text[33])
{
	snprintf(text, 33, "%016llx%016llx", (unsigned long long)r->trace,
	    (unsigned long long)(r->trace * 0x9e3779b97f4a7c15u));
}

/* ---- 1.0 ---- */

static void put_point(struct buf *out, double v, int64_t t_ms, unsigned v_tag, unsigned t_tag)
{
	buf_add_u8(out, (uint8_t)v_tag);
	wire_put_f64(out, v);
	buf_add_u8(out, (uint8_t)t_tag);
	wire_put_varint(out, (uint64_t)t_ms);
}

/* The series' part behind its labels. */
static void put_rest_1(struct rwbody *b, const struct loadgen_row *r)
{
	struct buf *out = &b->part;
	buf_clear(out);
	if (r->hist) {
		struct buf h;
		buf_init(&h);
		pbhist_encode(r->hist, r->t_ms, &h);
		buf_add_u8(out, 0x22);
		wire_put_lenbytes(out, h.data, h.len);
		buf_release(&h);
	} else {
		buf_add_u8(out, 0x12);
		buf_add_u8(out, (uint8_t)(10 + wire_varint_len((uint64_t)r->t_ms)));
		put_point(out, r->v, r->t_ms, 0x09, 0x10);
	}
	if (!r->exemplar)
		return;
	char text[33];
	trace_text(r, text);
	size_t label = 2 + sizeof(TRACE_LABEL) - 1 + 2 + 32;
	buf_add_u8(out, 0x1a);
	wire_put_varint(out, 2 + label + 10 + wire_varint_len((uint64_t)r->t_ms));
	buf_add_u8(out, 0x0a);
	buf_add_u8(out, (uint8_t)label);
	buf_add_u8(out, 0x0a);
	wire_put_lenbytes(out, TRACE_LABEL, sizeof(TRACE_LABEL) - 1);
	buf_add_u8(out, 0x12);
	wire_put_lenbytes(out, text, 32);
	put_point(out, r->v, r->t_ms, 0x11, 0x18);
}

static void row_1(void *arg, const struct loadgen_row *r)
{
	struct rwbody *b = arg;
	count(b, r);
	put_rest_1(b, r);
	buf_add_u8(&b->raw, 0x0a);
	wire_put_varint(&b->raw, r->labels.len + b->part.len);
	buf_add(&b->raw, r->labels.bytes, r->labels.len);
	buf_add(&b->raw, b->part.data, b->part.len);
}

/* ---- 2.0 ---- */

static void put_exemplar_2(struct rwbody *b, const struct loadgen_row *r)
{
	char text[33];
	struct buf *own = &b->part;
	trace_text(r, text);
	buf_clear(own);
	buf_add_u8(own, 0x0a);
	buf_add_u8(own, 2 + sizeof(TRACE_LABEL) - 1 + 2 + 32);
	buf_add_u8(own, 0x0a);
	wire_put_lenbytes(own, TRACE_LABEL, sizeof(TRACE_LABEL) - 1);
	buf_add_u8(own, 0x12);
	wire_put_lenbytes(own, text, 32);
	rw2_enc_exemplar(&b->enc, (struct labels){ own->data, (uint32_t)own->len }, r->t_ms, r->v);
}

/* Of a histogram's name, as long as its family's. */
static uint32_t family_len(const char *name, uint32_t len)
{
	static const char *const ends[] = { "_bucket", "_count", "_sum" };
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t n = strlen(ends[i]);
		if (len > n && !memcmp(name + len - n, ends[i], n))
			return len - (uint32_t)n;
	}
	return len;
}

/* A help as long as those of exporters, one for each family; exporters leave the unit empty. */
static void put_meta_2(struct rwbody *b, const struct loadgen_row *r)
{
	uint32_t len = 0;
	const char *name = label_get(r->labels, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	if (r->type == 3 && name)
		len = family_len(name, len);
	buf_clear(&b->part);
	buf_printf(&b->part, "What %.*s counts or measures.", (int)len, name ? name : "");
	struct batch_meta m = { .type = r->type,
		.help = (const char *)b->part.data,
		.help_len = (uint32_t)b->part.len };
	rw2_enc_meta(&b->enc, &m);
}

static void row_2(void *arg, const struct loadgen_row *r)
{
	struct rwbody *b = arg;
	int64_t start_ms = b->o.starts && r->type != 2 ? b->o.start_ms : 0;
	count(b, r);
	rw2_enc_series(&b->enc, r->labels);
	if (r->hist)
		rw2_enc_hist(&b->enc, r->hist, r->t_ms, start_ms);
	else
		rw2_enc_sample(&b->enc, r->t_ms, r->v, start_ms);
	if (r->exemplar)
		put_exemplar_2(b, r);
	if (b->o.metadata)
		put_meta_2(b, r);
}

/* ---- both ---- */

struct rwbody *rwbody_new(const struct rwbody_opts *o)
{
	struct rwbody *b = mem_zalloc(sizeof(*b));
	b->o = *o;
	buf_init(&b->raw);
	buf_init(&b->packed);
	buf_init(&b->part);
	rw2_enc_init(&b->enc);
	return b;
}

void rwbody_free(struct rwbody *b)
{
	if (!b)
		return;
	buf_release(&b->raw);
	buf_release(&b->packed);
	buf_release(&b->part);
	rw2_enc_release(&b->enc);
	mem_free(b);
}

const struct buf *rwbody_raw(
    struct rwbody *b, struct loadgen *g, uint64_t batch, struct rwbody_counts *counts)
{
	*counts = (struct rwbody_counts){ 0 };
	b->counts = counts;
	buf_clear(&b->raw);
	if (b->o.protocol == RWBODY_1) {
		loadgen_rows(g, batch, row_1, b);
		return &b->raw;
	}
	rw2_enc_begin(&b->enc);
	loadgen_rows(g, batch, row_2, b);
	rw2_enc_end(&b->enc, &b->raw);
	return &b->raw;
}

const struct buf *rwbody_packed(
    struct rwbody *b, struct loadgen *g, uint64_t batch, struct rwbody_counts *counts)
{
	const struct buf *raw = rwbody_raw(b, g, batch, counts);
	buf_clear(&b->packed);
	snapz_encode(&b->packed, raw->data, raw->len);
	return &b->packed;
}

const char *rwbody_headers(enum rwbody_protocol p)
{
	if (p == RWBODY_2)
		return "Content-Encoding: snappy\r\n"
		       "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n"
		       "X-Prometheus-Remote-Write-Version: 2.0.0\r\n";
	return "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n"
	       "X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
}

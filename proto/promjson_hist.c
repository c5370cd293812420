#include "proto/promjson.h"

#define ADD(out, text)   buf_add(out, text, sizeof(text) - 1)
#define BUCKET_BYTES_MAX (3 * NUM_FMT_MAX + 16)
#define BUCKETS_AT_ONCE  32 /* between looks at how full the buffer is */

enum part {
	PART_HEAD,
	PART_BUCKETS,
	PART_OVER
};

static void quoted(struct buf *out, double v)
{
	if (!buf_reserve(out, NUM_FMT_MAX + 2))
		return;
	uint8_t *p = out->data + out->len;
	*p++ = '"';
	p += num_fmt_json(v, (char *)p);
	*p++ = '"';
	out->len = (size_t)(p - out->data);
}

static void bucket(struct promjson_hist *w, struct buf *out, const struct hist_bucket *b)
{
	unsigned rule = b->lower_in ? (b->upper_in ? 3 : 1) : b->upper_in ? 0 : 2;

	if (w->_any)
		ADD(out, ",");
	else
		ADD(out, ",\"buckets\":[");
	w->_any = true;
	ADD(out, "[");
	buf_add_u8(out, (uint8_t)('0' + rule));
	ADD(out, ",");
	quoted(out, b->lower);
	ADD(out, ",");
	quoted(out, b->upper);
	ADD(out, ",");
	quoted(out, b->count);
	ADD(out, "]");
}

void promjson_hist(struct promjson_hist *w, const struct hist *h)
{
	*w = (struct promjson_hist){ ._part = PART_HEAD };
	hist_iter_init(&w->_buckets, h, false);
}

static void head(struct promjson_hist *w, struct buf *out)
{
	ADD(out, "{\"count\":");
	quoted(out, w->_buckets.h->count.f);
	ADD(out, ",\"sum\":");
	quoted(out, w->_buckets.h->sum);
	w->_part = PART_BUCKETS;
}

bool promjson_hist_next(struct promjson_hist *w, struct buf *out, size_t full)
{
	struct hist_bucket b;

	if (w->_part == PART_HEAD)
		head(w, out);
	for (unsigned looked = 1; w->_part == PART_BUCKETS; looked++) {
		if (looked % BUCKETS_AT_ONCE == 0 && (out->len >= full || out->over))
			return false;
		if (!hist_iter_next(&w->_buckets, &b)) {
			if (w->_any)
				ADD(out, "]");
			ADD(out, "}");
			w->_part = PART_OVER;
		} else if (b.count != 0) {
			bucket(w, out, &b);
		}
	}
	return true;
}

#include "proto/otlpbody.h"

#include "proto/otlp.h"
#include "proto/otlpjson.h"

struct body {
	struct otlpjson *json;
	const uint8_t *at;      /* of the text: read so far */
	const uint8_t *p, *end; /* of the protobuf bytes, when they are there */
	void *own;              /* otlp's */
	size_t max;             /* of these */
	bool made;
};

static struct body *begin(struct decode *d, const uint8_t *p)
{
	struct body *b = arena_zalloc(d->keep, sizeof *b);
	const struct limits *l = d->limits ? d->limits : limits_here();
	b->max = (size_t)l->write_body_bytes;
	b->json = otlpjson_create(b->max);
	b->at = p;
	d->own = b;
	return b;
}

static enum err make(struct decode *d, struct body *b, const uint8_t *end, struct errbuf *eb)
{
	size_t len;
	enum err e = otlpjson_read(b->json, &b->at, end, DECODE_TURN, &b->made, eb);
	b->p = otlpjson_result(b->json, &len);
	d->held = 2 * len < b->max ? 2 * len : b->max;
	if (e || !b->made)
		return e;
	b->end = b->p + len;
	return ERR_OK;
}

static size_t items(const struct batch *b)
{
	return b->rows_count + b->metas_count + b->exemplars_count;
}

/* Until there is more than before, or it is over: points that are left out count as none. */
static enum err decode(struct decode *d, struct body *b, bool *over, struct errbuf *eb)
{
	const size_t before = items(d->batch);
	enum err e = ERR_OK;
	*over = false;
	while (!e && !*over && items(d->batch) == before) {
		d->own = b->own;
		e = otlp_decoder.next(d, &b->p, b->end, true, eb);
		b->own = d->own;
		d->own = b;
		*over = b->p == b->end;
	}
	return e;
}

static enum err next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	struct body *b = d->own ? d->own : begin(d, *p);
	bool over = false;
	(void)last; /* it is the whole body */
	enum err e = b->made ? ERR_OK : make(d, b, end, eb);
	if (!e && b->made)
		e = decode(d, b, &over, eb);
	/* the text is not read to its end before its points are */
	*p = over || *p == end ? end : b->at < end ? b->at : end - 1;
	return e;
}

static void end_all(struct decode *d)
{
	struct body *b = d->own;
	if (!b)
		return;
	d->own = b->own;
	if (d->own)
		otlp_decoder.end(d);
	otlpjson_free(b->json);
	d->held = 0;
	d->own = NULL;
}

const struct decoder otlpbody_json = { .record = "data point", .next = next, .end = end_all };

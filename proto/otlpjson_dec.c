#include "core/model/limits.h"
#include "proto/otlp.h"
#include "proto/otlpjson.h"

struct both {
	struct otlpjson *json;
	bool made;
	const uint8_t *p, *end; /* of what was made: the rest */
	void *own;              /* of otlp_decoder */
};

static struct both *both_of(struct decode *d)
{
	if (!d->own) {
		struct both *b = arena_zalloc(d->keep, sizeof(*b));
		b->json = otlpjson_create(d->limits->write_body_bytes);
		d->own = b;
	}
	return d->own;
}

static enum err next_rows(struct decode *d, struct both *b, struct errbuf *eb)
{
	d->own = b->own;
	enum err e = otlp_decoder.next(d, &b->p, b->end, true, eb);
	b->own = d->own;
	d->own = b;
	return e;
}

static bool is_empty(const struct batch *b)
{
	return !b->rows_count && !b->metas_count && !b->exemplars_count;
}

/* Rows of what was made, until there are some or all is read. */
static enum err read_made(struct decode *d, struct both *b, struct errbuf *eb)
{
	enum err e;
	const uint8_t *before;
	do {
		before = b->p;
		e = next_rows(d, b, eb);
	} while (!e && b->p < b->end && b->p != before && is_empty(d->batch));
	if (!e && b->p < b->end && b->p == before && is_empty(d->batch))
		e = errbuf_set(eb, ERR_BUG, "a request of its own making cannot be read");
	return e;
}

static enum err next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	struct both *b = both_of(d);
	enum err e = ERR_OK;
	(void)last;
	if (!b->made) {
		const uint8_t *q = *p;
		do /* what ends at the end of a turn is an error, or all */
			e = otlpjson_read(b->json, &q, end, DECODE_TURN, &b->made, eb);
		while (!e && !b->made && q == end);
		if (e || !b->made) {
			*p = q;
			return e;
		}
		size_t len;
		b->p = otlpjson_result(b->json, &len);
		b->end = b->p + len;
		if (q - *p > 1) { /* its own turn; rows are the next one's */
			*p = end - 1;
			return ERR_OK;
		}
	}
	e = read_made(d, b, eb);
	if (!e && b->p == b->end)
		*p = end;
	return e;
}

static void end_both(struct decode *d)
{
	struct both *b = d->own;
	d->own = b->own;
	if (otlp_decoder.end && b->own)
		otlp_decoder.end(d);
	otlpjson_free(b->json);
	d->own = NULL;
}

const struct decoder otlpjson_decoder = { .record = "data point", .next = next, .end = end_both };

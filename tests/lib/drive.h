/*
 * drive - a decoder (proto/decoder.h) driven as net/recv drives it, in parts of any size, and what
 * it made as text: a line for each row, "m{a=\"b\"} 1 @1700000000000".
 *
 * Thread: one. Memory: drive_release.
 */
#ifndef TESTS_LIB_DRIVE_H
#define TESTS_LIB_DRIVE_H

#include "core/base/num.h"
#include "core/model/limits.h"
#include "proto/decoder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DRIVE_NOW_MS INT64_C(1700000000123)

struct drive {
	struct decode d;
	struct arena arena, keep;
	struct batch batch;
	struct limits limits;
	struct errbuf eb;
	const struct decoder *decoder;
	struct buf text; /* of all rows */
	uint64_t rows;
	bool canonical; /* all labels are */
};

static inline void drive_init(struct drive *v, const struct decoder *decoder, const void *opts)
{
	memset(v, 0, sizeof(*v));
	arena_init(&v->arena, 4096);
	arena_init(&v->keep, 4096);
	batch_init(&v->batch);
	buf_init(&v->text);
	errbuf_init(&v->eb);
	limits_default(&v->limits);
	v->decoder = decoder;
	v->canonical = true;
	v->d = (struct decode){ .limits = &v->limits,
		.now_ms = DRIVE_NOW_MS,
		.opts = opts,
		.arena = &v->arena,
		.keep = &v->keep,
		.batch = &v->batch };
}

static inline void drive_release(struct drive *v)
{
	if (v->decoder->end && v->d.own)
		v->decoder->end(&v->d);
	batch_release(&v->batch);
	buf_release(&v->text);
	arena_release(&v->arena);
	arena_release(&v->keep);
}

/* Rows of the batch go to the text; the batch is empty then. */
static inline void drive_store(struct drive *v)
{
	for (size_t i = 0; i < v->batch.rows_count; i++) {
		const struct batch_row *r = &v->batch.rows[i];
		char number[NUM_FMT_MAX];
		struct labels ls = { r->labels, r->labels_len };
		v->canonical &= label_is_canonical(ls);
		label_text_metric(&v->text, ls);
		buf_add_u8(&v->text, ' ');
		buf_add(&v->text, number, num_fmt_g(r->v, number));
		buf_printf(&v->text, " @%" PRId64 "\n", r->t_ms);
		v->rows++;
	}
	batch_clear(&v->batch);
	arena_reset(&v->arena, 64u << 10);
}

/*
 * The whole body; lines in parts of about `part` bytes, each in memory of its own and exactly as
 * large. Returns what ended it; the text has all rows.
 */
static inline enum err drive(struct drive *v, const void *body, size_t len, size_t part)
{
	const uint8_t *in = body;
	size_t at = 0, upto = 0;
	bool stuck = false, asked = false;
	enum err e = ERR_OK;
	while (!e) {
		if (decode_full(&v->d))
			drive_store(v);
		if (at == upto || stuck) {
			size_t more = part < len - upto ? part : len - upto;
			if (upto == len && (!stuck || at == len) && (asked || v->decoder->lines))
				break;
			if (upto == len && stuck)
				e = ERR_TRUNCATED;
			upto += v->decoder->lines ? more : len - upto;
			stuck = false;
		}
		size_t end = upto;
		while (v->decoder->lines && end < len && end > at && in[end - 1] != '\n')
			end--;
		if (e || (end == at && end < len)) {
			stuck = !e;
			continue;
		}
		uint8_t *exact = malloc(end - at + !(end - at));
		if (!exact)
			abort();
		memcpy(exact, in + at, end - at);
		const uint8_t *p = exact;
		size_t rows = v->batch.rows_count;
		asked = true;
		e = v->decoder->next(&v->d, &p, exact + (end - at), end == len, &v->eb);
		size_t took = (size_t)(p - exact);
		if (took > end - at)
			abort();
		at += took;
		stuck = !took && v->batch.rows_count == rows;
		if (!v->decoder->lines || !e)
			drive_store(v);
		free(exact);
	}
	drive_store(v);
	return e;
}

static inline const char *drive_text(struct drive *v)
{
	buf_add_u8(&v->text, 0);
	v->text.len--;
	return (const char *)v->text.data;
}

#endif

/*
 * otlp against protobuf-c and a plain second translation (tests/lib/otlpjudge.h): the same verdict
 * where protobuf-c accepts, the same rows. Then with all that names and labels can be made to do,
 * which must give canonical labels and nothing else. The input is copied so that the first byte
 * behind it is caught.
 */
#include "tests/lib/otlpjudge.h"

#include <stdlib.h>

static void other(const uint8_t *body, size_t len, const struct otlp_opts *o)
{
	struct arena arena, keep;
	struct batch batch;
	const uint8_t *p = body;
	enum err err;
	arena_init(&arena, 1024);
	arena_init(&keep, 1024);
	batch_init(&batch);
	struct decode d = { .arena = &arena, .keep = &keep, .batch = &batch, .opts = o };
	do {
		err = otlp_decoder.next(&d, &p, body + len, true, NULL);
		for (size_t i = 0; i < batch.rows_count; i++) {
			const struct batch_row *r = &batch.rows[i];
			if (!label_is_canonical((struct labels){ r->labels, r->labels_len }))
				abort();
		}
		batch_clear(&batch);
		arena_reset(&arena, SIZE_MAX);
	} while (!err && p < body + len);
	otlp_decoder.end(&d);
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const listed[] = { "a", "host.name" };
	static const struct otlp_opts all[] = {
		{ .promote_all = true, .promote_scope = true, .type_and_unit = true },
		{ .strategy = OTLP_UTF8_SUFFIXES,
		    .attributes = listed,
		    .attributes_count = 2,
		    .promote_scope = true,
		    .custom_buckets = true,
		    .keep_identifying = true },
		{ .strategy = OTLP_UNDERSCORES, .join_underscores = true, .keep_underscore = true },
	};
	bool accepted;
	uint8_t *body = malloc(size ? size : 1);
	if (!body)
		abort();
	if (size)
		memcpy(body, data, size);
	const char *wrong = otlpjudge(body, size, &accepted);
	if (wrong) {
		fprintf(stderr, "otlp gives %s\n", wrong);
		abort();
	}
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		other(body, size, &all[i]);
	free(body);
	return 0;
}

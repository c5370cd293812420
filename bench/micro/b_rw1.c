#include "bench/micro/body.h"

int main(void)
{
	struct buf body;
	struct batch batch;
	struct arena arena;
	buf_init(&body);
	batch_init(&batch);
	arena_init(&arena, 4096);
	body_make(&body);
	double best = 0;
	BODY_BEST_NS(best, 50, batch_clear(&batch);
	             CHECK(!rw1_decode(&arena, body.data, body.len, NULL, &batch, NULL)));
	CHECK(batch.rows_count == BODY_SERIES);
	uint64_t label_bytes = 0;
	for (size_t i = 0; i < batch.rows_count; i++)
		label_bytes += batch.rows[i].labels_len;
	printf("rw1_decode              %7.2f ns/series  %" PRIu64 " label bytes a series\n",
	    best / BODY_SERIES, label_bytes / BODY_SERIES);
	batch_release(&batch);
	arena_release(&arena);
	buf_release(&body);
	return 0;
}

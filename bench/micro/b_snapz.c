#include "bench/micro/body.h"
#include "proto/snapz.h"

#include <snappy-c.h>

int main(void)
{
	struct buf body, packed;
	buf_init(&body);
	buf_init(&packed);
	body_make(&body);
	snapz_encode(&packed, body.data, body.len);
	uint8_t *out = mem_alloc(body.len + SNAPZ_SLOP);
	double ours = 0, theirs = 0;
	BODY_BEST_NS(ours, 50, CHECK(!snapz_decode(packed.data, packed.len, out, body.len)));
	CHECK(!memcmp(out, body.data, body.len));
	BODY_BEST_NS(theirs, 50, size_t n = body.len; CHECK(
	    snappy_uncompress((const char *)packed.data, packed.len, (char *)out, &n) == SNAPPY_OK));
	printf("snapz_decode            %7.2f ns/sample  %zu -> %zu bytes a sample\n",
	    ours / BODY_SERIES, packed.len / BODY_SERIES, body.len / BODY_SERIES);
	printf("snappy_uncompress       %7.2f ns/sample\n", theirs / BODY_SERIES);
	mem_free(out);
	buf_release(&body);
	buf_release(&packed);
	return 0;
}

#include "proto/gunz.h"

#include "core/base/mem.h"

#define ZLIB_CONST
#include <zlib.h>

#define WINDOW_BITS 15
#define GZIP_WRAP   16 /* zlib's flag in the window bits: gzip head and trailer */
#define GZIP_FIRST  0x1f

struct gunz {
	z_stream z;
	enum gz_form form;
	bool begun, ended; /* ended: a member is complete */
};

enum err gunz_create(enum gz_form form, struct gunz **out)
{
	CHECK(form != GZ_NONE);
	struct gunz *g = mem_try(sizeof *g);
	if (!g)
		return ERR_NOMEM;
	*g = (struct gunz){ .form = form };
	if (inflateInit2(&g->z, WINDOW_BITS + (form == GZ_GZIP ? GZIP_WRAP : 0)) != Z_OK) {
		mem_free(g);
		return ERR_NOMEM;
	}
	*out = g;
	return 0;
}

/* RFC 1950, 2.2: method 8, a window of 32 KiB at most; without that it is raw deflate. */
static void begin(struct gunz *g, uint8_t first)
{
	g->begun = true;
	if (g->form == GZ_DEFLATE && ((first & 15) != 8 || first >> 4 > 7))
		CHECK(inflateReset2(&g->z, -WINDOW_BITS) == Z_OK);
}

enum err gunz_next(
    struct gunz *g, const uint8_t *in, size_t len, size_t *used, uint8_t *out, size_t *out_len)
{
	*used = *out_len = 0;
	if (!g->begun && len)
		begin(g, *in);
	if (g->ended) {
		if (!len)
			return 0;
		if (g->form != GZ_GZIP || *in != GZIP_FIRST) /* RFC 1952, 2.2: members follow */
			return ERR_MALFORMED;
		CHECK(inflateReset(&g->z) == Z_OK);
		g->ended = false;
	}
	g->z.next_in = in;
	g->z.avail_in = (uInt)(len < UINT32_MAX ? len : UINT32_MAX);
	g->z.next_out = out;
	g->z.avail_out = GUNZ_STEP;
	size_t given = g->z.avail_in;
	int r = inflate(&g->z, Z_NO_FLUSH);
	*used = given - g->z.avail_in;
	*out_len = GUNZ_STEP - g->z.avail_out;
	g->z.next_in = NULL;
	g->ended = r == Z_STREAM_END;
	if (r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR)
		return 0;
	return r == Z_MEM_ERROR ? ERR_NOMEM : ERR_MALFORMED;
}

bool gunz_whole(const struct gunz *g)
{
	return g->ended || !g->begun;
}

void gunz_free(struct gunz *g)
{
	if (!g)
		return;
	(void)inflateEnd(&g->z); /* says whether the stream was whole, which we know */
	mem_free(g);
}

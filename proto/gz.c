#include "proto/gz.h"

#include "core/base/arena.h"

#define ZLIB_CONST
#include <zlib.h>

#define WINDOW_BITS    15
#define GZIP_WRAP      16 /* zlib's flag in the window bits: gzip head and trailer */
#define MEM_LEVEL      8
#define OUT_STEP       (16u << 10)
#define TOKEN_NAME_MAX 16

struct gz {
	z_stream z;
	bool finished;
};

enum err gz_create(enum gz_form form, int level, struct gz **out)
{
	CHECK(form != GZ_NONE);
	struct gz *g = mem_try(sizeof(*g));
	if (!g)
		return ERR_NOMEM;
	*g = (struct gz){ 0 };
	if (deflateInit2(&g->z, level, Z_DEFLATED, WINDOW_BITS + (form == GZ_GZIP ? GZIP_WRAP : 0),
	        MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		mem_free(g);
		return ERR_NOMEM;
	}
	*out = g;
	return ERR_OK;
}

/* Runs deflate until it has taken everything and, with a flush, given everything. */
static void run(struct gz *g, const void *data, size_t len, int flush, struct buf *out)
{
	const uint8_t *p = data;
	CHECK(!g->finished);
	do {
		size_t piece = len < UINT32_MAX ? len : UINT32_MAX;
		g->z.next_in = p;
		g->z.avail_in = (uInt)piece;
		p += piece;
		len -= piece;
		do {
			if (!buf_reserve(out, OUT_STEP))
				return;
			g->z.next_out = out->data + out->len;
			g->z.avail_out = OUT_STEP;
			int rc = deflate(&g->z, len ? Z_NO_FLUSH : flush);
			CHECK(rc != Z_STREAM_ERROR);
			out->len += OUT_STEP - g->z.avail_out;
		} while (g->z.avail_out == 0);
		CHECK(g->z.avail_in == 0);
	} while (len);
}

void gz_push(struct gz *g, const void *data, size_t len, struct buf *out)
{
	if (len)
		run(g, data, len, Z_NO_FLUSH, out);
}

void gz_flush(struct gz *g, struct buf *out)
{
	run(g, "", 0, Z_SYNC_FLUSH, out);
}

void gz_finish(struct gz *g, struct buf *out)
{
	run(g, "", 0, Z_FINISH, out);
	g->finished = true;
}

void gz_free(struct gz *g)
{
	if (!g)
		return;
	(void)deflateEnd(&g->z); /* data may be left when the receiver went away */
	mem_free(g);
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static enum gz_form form_of(const char *s, size_t len)
{
	char name[TOKEN_NAME_MAX];
	if (len >= sizeof(name))
		return GZ_NONE;
	for (size_t i = 0; i < len; i++)
		name[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] + ('a' - 'A') : s[i]);
	name[len] = 0;
	if (!strcmp(name, "gzip") || !strcmp(name, "x-gzip"))
		return GZ_GZIP;
	return strcmp(name, "deflate") ? GZ_NONE : GZ_DEFLATE;
}

/* RFC 9110 section 12.5.3: q=0, q=0. and q=0.000 say no. */
static bool says_no(const char *s, const char *end)
{
	while (s < end && (blank(*s) || *s == ';'))
		s++;
	if (end - s < 3 || (*s != 'q' && *s != 'Q') || s[1] != '=')
		return false;
	for (s += 2; s < end && !blank(*s); s++)
		if (*s != '0' && *s != '.')
			return false;
	return true;
}

/* One element of a list: its name and its parameters. */
struct element {
	const char *name, *name_end, *stop;
};

static bool next_element(const char **s, const char *end, struct element *out)
{
	if (*s >= end)
		return false;
	const char *comma = memchr(*s, ',', (size_t)(end - *s)), *at = *s;
	out->stop = comma ? comma : end;
	while (at < out->stop && blank(*at))
		at++;
	out->name = at;
	while (at < out->stop && !blank(*at) && *at != ';')
		at++;
	out->name_end = at;
	*s = out->stop + 1;
	return true;
}

enum gz_form gz_choose(const char *s, size_t len)
{
	struct element e;
	for (const char *end = s + len; next_element(&s, end, &e);) {
		enum gz_form form = form_of(e.name, (size_t)(e.name_end - e.name));
		if (form != GZ_NONE && !says_no(e.name_end, e.stop))
			return form;
	}
	return GZ_NONE;
}

bool gz_takes(const char *s, size_t len, enum gz_form form)
{
	struct element e;
	bool any = false;
	for (const char *end = s + len; next_element(&s, end, &e);) {
		if (form_of(e.name, (size_t)(e.name_end - e.name)) == form)
			return !says_no(e.name_end, e.stop);
		if (e.name_end - e.name == 1 && *e.name == '*')
			any = !says_no(e.name_end, e.stop);
	}
	return any; /* "*" is what is not named (RFC 9110, section 12.5.3) */
}

const char *gz_token(enum gz_form form)
{
	return form == GZ_GZIP ? "gzip" : form == GZ_DEFLATE ? "deflate" : "identity";
}

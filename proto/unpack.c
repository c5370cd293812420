#include "proto/unpack.h"

#include "core/base/mem.h"
#include "proto/gunz.h"
#include "proto/unsnapf.h"
#include "proto/unzstd.h"

#define GUNZ_MEMORY (48u << 10)

STATIC(UNPACK_STEP >= GUNZ_STEP);

struct unpack {
	enum unpack_form form;
	union {
		struct gunz *gunz;
		struct unzstd *zstd;
		struct unsnapf *snapf;
	};
};

const char *unpack_name(enum unpack_form form)
{
	static const char *const names[] = {
		[UNPACK_GZIP] = "gzip",
		[UNPACK_DEFLATE] = "deflate",
		[UNPACK_ZSTD] = "zstd",
		[UNPACK_SNAPPY_FRAMED] = "framed snappy",
	};
	return names[form];
}

size_t unpack_memory(enum unpack_form form)
{
	static const size_t bytes[] = {
		[UNPACK_GZIP] = GUNZ_MEMORY,
		[UNPACK_DEFLATE] = GUNZ_MEMORY,
		[UNPACK_ZSTD] = UNZSTD_MEMORY,
		[UNPACK_SNAPPY_FRAMED] = UNSNAPF_MEMORY,
	};
	return bytes[form];
}

static enum err inner_create(struct unpack *u)
{
	switch (u->form) {
	case UNPACK_GZIP:
		return gunz_create(GZ_GZIP, &u->gunz);
	case UNPACK_DEFLATE:
		return gunz_create(GZ_DEFLATE, &u->gunz);
	case UNPACK_ZSTD:
		return unzstd_create(&u->zstd);
	case UNPACK_SNAPPY_FRAMED:
		return unsnapf_create(&u->snapf);
	}
	return ERR_BUG;
}

enum err unpack_create(enum unpack_form form, struct unpack **out)
{
	struct unpack *u = mem_try(sizeof(*u));
	if (!u)
		return ERR_NOMEM;
	u->form = form;
	enum err e = inner_create(u);
	if (e)
		mem_free(u);
	else
		*out = u;
	return e;
}

enum err unpack_next(struct unpack *u, const uint8_t *in, size_t len, size_t *used, uint8_t *out,
    size_t cap, size_t *out_len)
{
	CHECK(cap >= UNPACK_STEP);
	switch (u->form) {
	case UNPACK_GZIP:
	case UNPACK_DEFLATE:
		return gunz_next(u->gunz, in, len, used, out, out_len);
	case UNPACK_ZSTD:
		return unzstd_next(u->zstd, in, len, used, out, cap, out_len);
	case UNPACK_SNAPPY_FRAMED:
		return unsnapf_next(u->snapf, in, len, used, out, cap, out_len);
	}
	return ERR_BUG;
}

size_t unpack_wants(const struct unpack *u)
{
	return u->form == UNPACK_ZSTD ? unzstd_wants(u->zstd) : 0;
}

void unpack_allow(struct unpack *u)
{
	if (u->form == UNPACK_ZSTD)
		unzstd_allow(u->zstd);
}

bool unpack_whole(const struct unpack *u)
{
	switch (u->form) {
	case UNPACK_GZIP:
	case UNPACK_DEFLATE:
		return gunz_whole(u->gunz);
	case UNPACK_ZSTD:
		return unzstd_whole(u->zstd);
	case UNPACK_SNAPPY_FRAMED:
		return unsnapf_whole(u->snapf);
	}
	return false;
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	switch (u->form) {
	case UNPACK_GZIP:
	case UNPACK_DEFLATE:
		gunz_free(u->gunz);
		break;
	case UNPACK_ZSTD:
		unzstd_free(u->zstd);
		break;
	case UNPACK_SNAPPY_FRAMED:
		unsnapf_free(u->snapf);
		break;
	}
	mem_free(u);
}

#include "net/recv/recvpack.h"

#include <string.h>
#include <strings.h>

#define SHOWN 64 /* bytes of what was sent, in the sentence */

/* clang-format off */
static const struct token {
	const char *name;
	unsigned bits;
} tokens[] = {
	{ "identity",        RECV_IDENTITY },
	{ "none",            RECV_IDENTITY },
	{ "gzip",            RECV_GZIP },
	{ "x-gzip",          RECV_GZIP },
	{ "deflate",         RECV_DEFLATE },
	{ "zstd",            RECV_ZSTD },
	{ "zstd1",           RECV_ZSTD },
	{ "snappy",          RECV_SNAPPY | RECV_SNAPPY_FRAMED },
	{ "x-snappy-framed", RECV_SNAPPY_FRAMED },
};
/* In sentences, one for each bit. */
static const struct token said[] = {
	{ "gzip",    RECV_GZIP },
	{ "deflate", RECV_DEFLATE },
	{ "zstd",    RECV_ZSTD },
	{ "snappy",  RECV_SNAPPY | RECV_SNAPPY_FRAMED },
};
/* clang-format on */

static unsigned bits_of(const char *s, size_t len)
{
	for (size_t i = 0; i < COUNT_OF(tokens); i++)
		if (strlen(tokens[i].name) == len && !strncasecmp(s, tokens[i].name, len))
			return tokens[i].bits;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next token of a list; *p goes behind its comma. False: it was the last. */
static bool next_token(const char **p, const char *end, const char **start, size_t *len)
{
	if (*p >= end)
		return false;
	const char *from = *p, *comma = memchr(from, ',', (size_t)(end - from));
	const char *last = comma ? comma : end;
	*p = comma ? comma + 1 : end;
	while (from < last && is_blank(*from))
		from++;
	while (last > from && is_blank(last[-1]))
		last--;
	*start = from;
	*len = (size_t)(last - from);
	return true;
}

static enum err refuse(const char *s, size_t len, unsigned packs, struct errbuf *eb)
{
	char list[64] = "";
	for (size_t i = 0; i < COUNT_OF(said); i++) {
		if (!(packs & said[i].bits))
			continue;
		if (list[0])
			strncat(list, ", ", sizeof(list) - strlen(list) - 1);
		strncat(list, said[i].name, sizeof(list) - strlen(list) - 1);
	}
	return errbuf_set(eb, ERR_UNSUPPORTED, "Content-Encoding is %.*s, must be %s%sor none",
	    (int)(len < SHOWN ? len : SHOWN), s, list, list[0] ? ", " : "");
}

enum err recvpack_of(
    const char *encoding, size_t len, unsigned packs, unsigned *out, struct errbuf *eb)
{
	const char *p = encoding, *start;
	size_t n;
	*out = RECV_IDENTITY;
	while (next_token(&p, encoding + len, &start, &n)) {
		unsigned bits = n ? bits_of(start, n) : RECV_IDENTITY;
		if (bits == RECV_IDENTITY)
			continue;
		if (!(bits & packs))
			return refuse(start, n, packs, eb);
		if (*out != RECV_IDENTITY)
			return errbuf_set(eb, ERR_UNSUPPORTED,
			    "Content-Encoding is %.*s: a body may be packed once",
			    (int)(len < SHOWN ? len : SHOWN), encoding);
		*out = bits & packs;
	}
	return ERR_OK;
}

const char *recvpack_looks(const uint8_t *body, size_t len)
{
	static const struct {
		const char *begin, *name;
	} forms[] = {
		{ "\xff\x06", "snappy's framed format" }, /* framing_format.txt of snappy, 4.1 */
		{ "\x1f\x8b", "gzip" },                   /* RFC 1952, 2.3.1 */
		{ "\x28\xb5\x2f\xfd", "zstd" },           /* RFC 8878, 3.1.1 */
	};
	for (size_t i = 0; i < COUNT_OF(forms); i++)
		if (len >= strlen(forms[i].begin) &&
		    !memcmp(body, forms[i].begin, strlen(forms[i].begin)))
			return forms[i].name;
	return NULL;
}

enum recv_pack recvpack_seen(unsigned bits, const uint8_t *body, size_t len)
{
	static const uint8_t framed[] = { 0xff, 6, 0, 0 }; /* framing_format.txt, 4.1 */
	if (!(bits & RECV_SNAPPY))
		return (enum recv_pack)bits;
	bool is_framed = len >= sizeof(framed) && !memcmp(body, framed, sizeof(framed));
	return bits & RECV_SNAPPY_FRAMED && is_framed ? RECV_SNAPPY_FRAMED : RECV_SNAPPY;
}

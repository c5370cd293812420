#include "net/recv/writetype.h"

#include <string.h>
#include <strings.h>

#include "proto/pbscan.h"

#define SHOWN 64 /* bytes of what was sent, in the sentence */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next piece up to c, without blanks around it; *p goes behind c. */
static bool piece(const char **p, const char *end, char c, const char **start, size_t *len)
{
	if (*p >= end)
		return false;
	const char *from = *p, *stop = memchr(from, c, (size_t)(end - from));
	const char *last = stop ? stop : end;
	*p = stop ? stop + 1 : end;
	while (from < last && is_blank(*from))
		from++;
	while (last > from && is_blank(last[-1]))
		last--;
	*start = from;
	*len = (size_t)(last - from);
	return true;
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && !strncasecmp(s, word, len);
}

static int shown(size_t len)
{
	return len < SHOWN ? (int)len : SHOWN;
}

static enum err proto_of(const char *value, size_t len, enum writetype *out, struct errbuf *eb)
{
	if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
		value++;
		len -= 2;
	}
	if (is_word(value, len, "io.prometheus.write.v2.Request"))
		*out = WRITETYPE_2;
	else if (is_word(value, len, "prometheus.WriteRequest"))
		*out = WRITETYPE_1;
	else
		return errbuf_set(eb, ERR_UNSUPPORTED,
		    "Content-Type has proto=%.*s; spoken are prometheus.WriteRequest (Remote Write 1.0) and io.prometheus.write.v2.Request (2.0)",
		    shown(len), value);
	return ERR_OK;
}

enum err writetype_of(const char *type, size_t len, enum writetype *out, struct errbuf *eb)
{
	const char *p = type, *end = type + len, *part, *name, *value = "";
	size_t part_len, name_len, value_len;
	*out = WRITETYPE_1;
	if (!len)
		return ERR_OK;
	if (!piece(&p, end, ';', &part, &part_len) ||
	    !is_word(part, part_len, "application/x-protobuf"))
		return errbuf_set(eb, ERR_UNSUPPORTED,
		    "Content-Type is %.*s, must be application/x-protobuf", shown(len), type);
	while (piece(&p, end, ';', &part, &part_len)) {
		const char *q = part;
		if (!piece(&q, part + part_len, '=', &name, &name_len) ||
		    !is_word(name, name_len, "proto"))
			continue;
		if (!piece(&q, part + part_len, '=', &value, &value_len))
			value_len = 0;
		return proto_of(value, value_len, out, eb);
	}
	return ERR_OK;
}

enum err writetype_encoding(const char *encoding, size_t len, bool zstd, struct errbuf *eb)
{
	const char *start = NULL, *p = encoding;
	size_t n = 0;
	if (len)
		(void)piece(&p, encoding + len, 0, &start, &n);
	if (!n || is_word(start, n, "snappy") || (zstd && is_word(start, n, "zstd")))
		return ERR_OK;
	return errbuf_set(eb, ERR_UNSUPPORTED,
	    "Content-Encoding is %.*s, must be snappy, the block format%s", shown(n), start,
	    zstd ? ", or zstd" : "");
}

bool writetype_is_zstd(const uint8_t *body, size_t len)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd }; /* RFC 8878, 3.1.1 */
	return len >= sizeof(magic) && !memcmp(body, magic, sizeof(magic));
}

enum err writetype_agrees(enum writetype said, const uint8_t *body, size_t len, struct errbuf *eb)
{
	struct pbscan_field f;
	const uint8_t *p = body;
	if (!len || !pbscan_next(&p, body + len, &f) || f.wire != PBSCAN_BYTES)
		return ERR_OK;
	if (said == WRITETYPE_2 && (f.number == 1 || f.number == 3)) /* series, metadata */
		return errbuf_set(eb, ERR_MALFORMED,
		    "Content-Type says io.prometheus.write.v2.Request (Remote Write 2.0), the body is a prometheus.WriteRequest (1.0)");
	if (said == WRITETYPE_1 && (f.number == 4 || f.number == 5)) /* symbols, series */
		return errbuf_set(eb, ERR_MALFORMED,
		    "Content-Type says prometheus.WriteRequest (Remote Write 1.0; so it is without proto=), the body is an io.prometheus.write.v2.Request (2.0)");
	return ERR_OK;
}

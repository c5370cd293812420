/*
 * influxl - one line of InfluxDB's line protocol, taken apart: pieces of the line, not yet labels.
 *
 *   measurement[,tag=value...] field=value[,field=value...] [timestamp]
 *
 * The rules are those of InfluxDB 1.x and 2.x ("Line protocol" of its documentation):
 *   blanks      before a line blanks, tabs and NULs count for nothing; so do empty lines, and lines
 *               that begin with #. CR before the LF is no part of the line.
 *   escapes     "\," and "\ " in measurements, also "\=" in tags and names of fields; any other
 *               backslash stands for itself. In texts \" and \\.
 *   fields      floats (no "+" before them, no NaN, no Inf), 42i, 42u, t T true True TRUE and f F
 *               false False FALSE, "texts", which may hold LFs: a line may be several of them long
 *   timestamp   a whole number, then only blanks
 * Tags with an empty value or name are left out (as other servers do). A tag twice is for who makes
 * labels of them.
 *
 * Memory: pieces point into the line; lists are grown on the heap and kept by the caller from line
 * to line: influxl_release. Thread: pure. Cost: about a nanosecond a byte.
 */
#ifndef PROTO_INFLUXL_H
#define PROTO_INFLUXL_H

#include "core/base/check.h"

#define INFLUXL_LINE_MAX   (256u << 10) /* bytes of a line, texts included */
#define INFLUXL_KEY_MAX    65535u       /* measurement and tags, as InfluxDB */
#define INFLUXL_FIELDS_MAX 8192u
#define INFLUXL_TAGS_MAX   4096u

struct influxl_piece {
	const uint8_t *p;
	uint32_t len;
	/* INFLUXL_ESCAPED: it has backslashes; INFLUXL_ODD: it is no [a-zA-Z0-9_]* */
	uint32_t flags;
};
#define INFLUXL_ODD     1u
#define INFLUXL_ESCAPED 2u

struct influxl_tag {
	struct influxl_piece name, value;
};
struct influxl_field {
	struct influxl_piece name;
	double v;
	bool text; /* a text: v is nothing */
};
struct influxl {
	struct influxl_piece measurement;
	struct influxl_tag *tags;
	struct influxl_field *fields;
	uint32_t tags_count, tags_cap, fields_count, fields_cap;
	const uint8_t *key_end; /* the blank behind measurement and tags */
	bool texts;             /* a field is one: LFs may be inside */
	bool timed;
	int64_t time;
	/*
	 * Names of fields as they are likely to come, in this order: they are compared, not looked
	 * through. as_hinted: all of them came, and no others. Of the caller.
	 */
	const struct influxl_piece *hints;
	uint32_t hints_count;
	bool as_hinted;
	const char *why; /* of INFLUXL_BAD and _OPEN: static text, as InfluxDB puts it */
};
enum influxl_is {
	INFLUXL_POINT,
	INFLUXL_NOTHING, /* an empty line, or a comment */
	INFLUXL_BAD,
	INFLUXL_OPEN /* a text has no end before end, or in INFLUXL_LINE_MAX; maybe bad, too */
};
/*
 * The line at p, before end; the byte before end is an LF. *next goes behind what belongs to it,
 * but for INFLUXL_OPEN.
 */
enum influxl_is influxl_parse(
    struct influxl *l, const uint8_t *p, const uint8_t *end, const uint8_t **next);
/*
 * The same in two steps. After the first measurement and tags are known (INFLUXL_POINT, or it is
 * the end of it); the second may be had alone, of a line that has them as they are in l: line, its
 * begin; key_end is set.
 */
enum influxl_is influxl_parse_key(
    struct influxl *l, const uint8_t *p, const uint8_t *end, const uint8_t **next);
enum influxl_is influxl_parse_rest(
    struct influxl *l, const uint8_t *line, const uint8_t *end, const uint8_t **next);
void influxl_release(struct influxl *l);

/* The text of a piece without its escapes: to has room for p.len bytes. Returns its length. */
size_t influxl_unescape(const struct influxl_piece *p, bool equals, char *to);

#endif

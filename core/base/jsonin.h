/*
 * jsonin - JSON text read value by value, where it lies (RFC 8259), for decoders that know what
 * they look for.
 *
 *   jsonin_enter(&j, '{') > while (jsonin_member(&j, &first, &key)) ... a value ... > goes on
 *
 * The first thing that is wrong is kept in `wrong`, and everything is false from then on; a loop
 * over members or elements just ends, so look at `wrong` behind it.
 * Memory: texts without escapes lie in the input, others in the arena. Thread: pure. Any bytes are
 * safe.
 */
#ifndef CORE_BASE_JSONIN_H
#define CORE_BASE_JSONIN_H

#include "core/base/arena.h"

#define JSONIN_DEPTH 32u /* of what is passed over */

struct jsonin {
	const uint8_t *p, *end;
	struct arena *arena;
	const char *wrong; /* NULL: nothing */
};
struct jsonin_text {
	const char *s;
	size_t len;
};
/* The byte that the next value begins with, 0 at the end. */
char jsonin_peek(struct jsonin *j);
bool jsonin_enter(struct jsonin *j, char open); /* '{' or '[' */
/* Is there another one? Behind the last the object or array is left. *first is true at first. */
bool jsonin_member(struct jsonin *j, bool *first, struct jsonin_text *key);
bool jsonin_element(struct jsonin *j, bool *first);
bool jsonin_string(struct jsonin *j, struct jsonin_text *out);
bool jsonin_number(struct jsonin *j, double *out);
bool jsonin_null(struct jsonin *j); /* takes a null, if one is next */
bool jsonin_skip(struct jsonin *j); /* one value, whatever it is */
bool jsonin_is(const struct jsonin_text *t, const char *word);

#endif

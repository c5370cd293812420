/*
 * shapes - a file of queries for "kymobench query".
 *
 * Either lines, "#" begins a comment: an expression for the range of the command line, or "instant:
 * <expression>". Or a JSON array of objects
 *   {"name": "...", "expr": "...", "range_s": 21600, "step_s": 60}
 * each over the last range_s seconds before the end; range_s = 0 is an instant query at the end.
 *
 * Thread: one. Memory: texts live until shapes_free.
 */
#ifndef BENCH_LOAD_SHAPES_H
#define BENCH_LOAD_SHAPES_H

#include "core/base/arena.h"
#include "core/base/err.h"

struct shape {
	const char *name, *expr; /* a line's name is its text */
	bool instant, own;       /* own: range_s and step_s are its own */
	double range_s, step_s;
};
struct shapes {
	struct arena arena;
	struct shape *list;
	size_t count;
};
/* "-" is standard input. ERR_IO, or ERR_BADDATA with what is wrong, and *out holds nothing. */
MUST_CHECK enum err shapes_load(const char *path, struct shapes *out, struct errbuf *eb);
void shapes_free(struct shapes *s);

#endif

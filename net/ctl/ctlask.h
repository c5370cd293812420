/*
 * ctlask - questions in PromQL to a server, of kymod, Prometheus or VictoriaMetrics, and what is
 * wrong with them: a mistake in an expression is shown at its place.
 *
 *   kymoctl query: 1:5: unexpected end of input inside braces
 *     foo{
 *         ^
 *
 * Thread: that of ctlhttp.
 */
#ifndef NET_CTL_CTLASK_H
#define NET_CTL_CTLASK_H

#include "net/ctl/ctlhttp.h"

/*
 * As ctlhttp_json by POST, but what the server says of a parameter is CTL_USAGE. expr: the one that
 * form asks, for its place; NULL: none.
 */
MUST_CHECK int ctlask(
    struct ctlhttp *c, const char *path, const struct buf *form, const char *expr, json_t **data);
/* The same by GET, for calls that know no POST. */
MUST_CHECK int ctlask_get(
    struct ctlhttp *c, const char *path, const struct buf *form, const char *expr, json_t **data);
/* The exit status of a call with this answer, told as ctlask does. */
MUST_CHECK int ctlask_outcome(
    const struct ctlhttp_call *call, const json_t *answer, const char *expr);

/*
 * The error of a server in other words: line and column (in bytes, from 1; 0 = nowhere), and where
 * in error the sentence begins. VictoriaMetrics tells the rest of the expression instead.
 */
struct ctlask_place {
	unsigned line, column;
	const char *sentence;
};
struct ctlask_place ctlask_find(const char *error, const char *expr);
/* The line of expr with a caret below the place, indented; nothing for line 0. */
void ctlask_caret(struct buf *out, const char *expr, const struct ctlask_place *p);

#endif

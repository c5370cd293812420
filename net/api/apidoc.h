/*
 * apidoc - what a row of net/api/routes.c says of itself, and how it is shown: on the page /api, in
 * OpenAPI (net/api/openapi.h), and in net/API.md (a test keeps that page in step).
 *
 * What follows from the rest of a row is not written a second time: methods, path, the role it
 * needs, the form of errors, and the errors that every row has (apidoc_errors).
 * Thread: any; all is read only.
 */
#ifndef NET_API_APIDOC_H
#define NET_API_APIDOC_H

#include "core/base/buf.h"
#include "net/http/router.h"

enum param_type {
	PARAM_TEXT,
	PARAM_PROMQL,
	PARAM_SELECTORS, /* may be repeated */
	PARAM_TIME,
	PARAM_DURATION,
	PARAM_COUNT,
	PARAM_LABEL
};
struct route_param {
	const char *name; /* NULL: the last */
	enum param_type type;
	bool required;
	const char *help; /* no full stop */
};
struct route_doc {
	const char *group;  /* title of its part of a page */
	const char *what;   /* one sentence */
	const char *answer; /* status, a blank, what comes: "200 names, sorted" */
	const char *errors; /* statuses of its own, with blanks between: "400 422" */
	/* <name> of the path is one of them. */
	const struct route_param *params;
};

const char *apidoc_type(enum param_type t);      /* "time" */
const char *apidoc_type_help(enum param_type t); /* how it is written */
const char *apidoc_role(enum role role);         /* "read"; "" for ROLE_NONE */
unsigned apidoc_status(const char *text);        /* of its first three digits */
/* What an error's status means here; NULL: it has none. */
const char *apidoc_error(unsigned status);
#define APIDOC_ERRORS_MAX 16
/* All statuses a row may refuse with, ascending: its own, and those of its role, gate and body. */
size_t apidoc_errors(const struct route *row, unsigned out[APIDOC_ERRORS_MAX]);
/*
 * The next row after *row (NULL: the first) of this group; false: there is none. The group of the
 * next part is that of apidoc_group(t, n), NULL after the last.
 */
bool apidoc_next(const struct route_table *t, const char *group, const struct route **row);
const char *apidoc_group(const struct route_table *t, size_t n);

/* The page /api. links: what stands before each path. */
void apidoc_html(struct buf *out, const struct route_table *t, const char *links);

#endif

/*
 * report - pages of results (bench/load/results.h). Every text of a file may be anybody's: it is
 * escaped for the page it goes to, whatever it is.
 *
 * Thread: one. Memory: what is made is added to the caller's buf.
 */
#ifndef BENCH_LOAD_REPORT_H
#define BENCH_LOAD_REPORT_H

#include <jansson.h>

#include "core/base/buf.h"

/* One page of several results: no script, nothing fetched, charts as SVG, light and dark. */
void report_html(const json_t *const *roots, size_t count, struct buf *out);
/* The same as Markdown. */
void report_md(const json_t *const *roots, size_t count, struct buf *out);
/* Only the table of one result: a row a figure, a column a server. */
void report_md_table(const json_t *root, struct buf *out);

/* Text that means nothing in HTML, in an attribute too; control characters are left out. */
void report_html_text(struct buf *out, const char *text);
/* The same in Markdown, in a cell of a table too: one line. */
void report_md_text(struct buf *out, const char *text);

#endif

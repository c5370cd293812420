/*
 * ctltable - answers as people and programs read them: a table with columns as wide as they need,
 * CSV (RFC 4180), or JSON (one array of objects, a line each).
 *
 * In a table what would steer the terminal is written out (net/ctl/ctlterm.h); CSV has cells as
 * they are, JSON U+FFFD for what is no UTF-8.
 *
 * Memory: cells are copied; a table is written when it ends (as its widths must be known), CSV and
 * JSON as rows come.
 */
#ifndef NET_CTL_CTLTABLE_H
#define NET_CTL_CTLTABLE_H

#include <stdio.h>

#include "core/base/buf.h"

enum ctltable_form {
	CTLTABLE_TABLE,
	CTLTABLE_CSV,
	CTLTABLE_JSON
};
/* "table", "csv", "json"; NULL is table. Ends the program with status 2 when it is none of them. */
enum ctltable_form ctltable_form(const char *text);
/* The same of a command that knows more forms; rest: how their list ends, ", json or graph". */
enum ctltable_form ctltable_form_of(const char *text, const char *rest);
/* The row for cmdline_parse. */
#define CTLTABLE_ARG(to)                                                                           \
 {                                                                                                 \
  .name = "format", .meta = "table|csv|json", .help = "of the answer (table)", .text = &(to)       \
 }

struct ctltable_column {
	const char *name;
	bool number; /* to the right; JSON: as it stands */
};
struct ctltable {
	FILE *out;
	enum ctltable_form form;
	const struct ctltable_column *columns;
	size_t count;
	struct buf _cells;
	size_t _rows, _at;
};
void ctltable_begin(struct ctltable *t, FILE *out, enum ctltable_form form,
    const struct ctltable_column *columns, size_t count);
/* Cells of a row, from left to right; the last one of a row ends it. */
void ctltable_cell(struct ctltable *t, const char *text);
void ctltable_cell_len(struct ctltable *t, const char *text, size_t len);
void ctltable_cellf(struct ctltable *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void ctltable_end(struct ctltable *t);

#endif

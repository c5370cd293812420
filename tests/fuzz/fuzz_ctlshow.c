/*
 * What kymoctl shows of a server's words, whatever they are: /metrics (0), errors with the
 * expression they are of (1), answers of queries, and of cardinality's history, in JSON (2), any
 * text (3). Frames keep their size, and nothing that steers a terminal comes out.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "net/ctl/ctlask.h"
#include "net/ctl/ctlplayed.h"
#include "net/ctl/ctlterm.h"
#include "net/ctl/ctltop.h"
#include "net/ctl/ctlvalue.h"

/* Lines within the places, without controls. */
static void must_be_plain(const struct buf *b, size_t places, size_t rows)
{
	size_t lines = 0, n;
	for (size_t at = 0; at < b->len; at += n + 1, lines++) {
		n = 0;
		while (at + n < b->len && b->data[at + n] != '\n') {
			CHECK(b->data[at + n] >= 0x20 && b->data[at + n] != 0x7f);
			n++;
		}
		CHECK(ctlterm_width((const char *)b->data + at, n) <= places);
	}
	CHECK(lines <= rows);
}

static void metrics(const char *text, size_t size)
{
	struct ctltop_look looks[2];
	struct buf b;
	size_t half = size / 2;
	for (unsigned i = 0; i < 2; i++) {
		size_t from = i ? half : 0, len = i ? size - half : half;
		char *copy = mem_alloc(len + 1);
		memcpy(copy, text + from, len);
		copy[len] = 0;
		ctltop_look_read(&looks[i], copy, len, 1000000000u * (1 + i));
	}
	for (unsigned i = 0; i < 4; i++) {
		buf_init(&b);
		ctltop_draw(&b,
		    &(struct ctltop_frame){ .columns = 20 + 30 * i,
		        .rows = 4 + 8 * i,
		        .keys = i & 1,
		        .server = "server",
		        .clock = "now",
		        .view = i & 1 ? CTLTOP_TENANTS : CTLTOP_QUERIES,
		        .sort = i,
		        .was = i ? &looks[0] : NULL,
		        .now = &looks[1] });
		must_be_plain(&b, 20 + 30 * i, 4 + 8 * i);
		buf_release(&b);
	}
	ctltop_look_release(&looks[0]);
	ctltop_look_release(&looks[1]);
}

static void errors(const char *text)
{
	struct buf b;
	const char *line = strchr(text, '\n');
	const char *expr = line ? line + 1 : "";
	struct ctlask_place p = ctlask_find(text, expr);
	CHECK(p.sentence >= text && p.sentence <= text + strlen(text));
	CHECK(!p.line == !p.column);
	buf_init(&b);
	ctlask_caret(&b, expr, &p);
	must_be_plain(&b, SIZE_MAX, 2);
	buf_release(&b);
}

static void played(const json_t *j)
{
	struct ctlplayed *p = ctlplayed_read(j, 5);
	struct buf b;
	CHECK(p->rows_count <= 5);
	ctlplayed_mark(p, "metrics", json_object_get(j, "explosions"));
	CHECK(ctlplayed_burst(p) < (ptrdiff_t)p->moments);
	buf_init(&b);
	ctlplayed_alarms(&b, p, json_object_get(j, "explosions"));
	for (size_t i = 0; i < p->rows_count; i++)
		ctlplayed_course(&b, p, p->rows[i].values, false);
	must_be_plain(&b, CTLPLAYED_PLACES * (p->rows_count + 1), 1);
	CHECK(b.len == CTLPLAYED_PLACES * (p->rows_count + 1));
	buf_release(&b);
	ctlplayed_free(p);
}

static void answers(const char *text, size_t size)
{
	static FILE *nowhere;
	json_t *j = json_loadb(text, size, JSON_ALLOW_NUL, NULL);
	struct buf b;
	bool shown[3];
	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (!j)
		return;
	for (unsigned form = 0; form < 3; form++)
		shown[form] = ctlvalue_show(nowhere, j, (enum ctltable_form)form);
	CHECK(shown[0] == shown[1] && shown[1] == shown[2]);
	played(j);
	if (!ctlvalue_sets(nowhere, json_object_get(j, "result"), CTLTABLE_CSV))
		CHECK(!json_is_array(json_object_get(j, "result")));
	buf_init(&b);
	ctlvalue_series(&b, j);
	ctlvalue_sample(&b, j);
	ctlvalue_time(&b, j);
	buf_release(&b);
	json_decref(j);
}

static void texts(const char *text, size_t size)
{
	struct buf b;
	buf_init(&b);
	ctlterm_text(&b, text, size);
	must_be_plain(&b, SIZE_MAX, 1);
	CHECK(ctlterm_width((const char *)b.data, b.len) == ctlterm_width(text, size));
	for (size_t places = 0; places < 12; places++) {
		buf_clear(&b);
		ctlterm_fit(&b, text, size, places, places & 1);
		CHECK(ctlterm_width((const char *)b.data, b.len) == places);
	}
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	char *text = mem_alloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	if (data[0] % 4 == 0)
		metrics(text, size - 1);
	else if (data[0] % 4 == 1)
		errors(text);
	else if (data[0] % 4 == 2)
		answers(text, size - 1);
	else
		texts(text, size - 1);
	mem_free(text);
	return 0;
}

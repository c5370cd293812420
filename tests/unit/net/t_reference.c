/*
 * The reference pages and the manual page are what the tables of flags, keys and metrics say.
 * "t_reference write" writes them.
 */
#include "net/daemon/reference.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/metric.h"
#include "core/model/limits.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static const struct page {
	const char *file;
	void (*make)(struct buf *out);
} pages[] = { { "net/CONFIG.md", reference_markdown }, { "net/kymod.1", reference_man },
	{ "net/METRICS.md", reference_metrics } };

static void made(const struct page *p, struct buf *out, char path[4096])
{
	buf_init(out);
	p->make(out);
	(void)snprintf(path, 4096, "%s/%s", testlib_src(), p->file);
}

static int write_all(void)
{
	char path[4096];
	struct buf b;
	for (size_t i = 0; i < COUNT_OF(pages); i++) {
		made(&pages[i], &b, path);
		FILE *f = fopen(path, "w");
		if (!f || fwrite(b.data, 1, b.len, f) != b.len || fclose(f))
			return 1;
		buf_release(&b);
	}
	return 0;
}

static void is_in_step(const struct page *p)
{
	char path[4096];
	struct buf b;
	made(p, &b, path);
	FILE *f = fopen(path, "r");
	char *text = calloc(1, b.len + 2);
	size_t len = f && text ? fread(text, 1, b.len + 1, f) : 0;
	tap_ok(len == b.len && !memcmp(text, b.data, len),
	    "%s is what the tables say (else: t_reference write)", p->file);
	if (f)
		fclose(f);
	free(text);
	buf_release(&b);
}

static void everything_is_there(void)
{
	struct buf b;
	char want[128];
	unsigned missing = 0;
	buf_init(&b);
	reference_markdown(&b);
	buf_add_u8(&b, 0);
	for (unsigned i = 0; i < LIMITS_COUNT; i++) {
		(void)snprintf(want, sizeof(want), "`--%s`", limits_rows[i].flag);
		missing += !strstr((char *)b.data, want);
	}
	tap_is_u64(missing, 0, "every limit is on the page");
	tap_ok(strstr((char *)b.data, "### `tenants.<tenant>`") ||
	        strstr((char *)b.data, "### `tenants.<tenant>"),
	    "and so are the limits of tenants");
	buf_release(&b);
}

/* Of all that /metrics has said of itself, line by line. */
static void every_metric_is_there(void)
{
	struct buf page, text;
	unsigned families = 0, missing = 0;
	buf_init(&page);
	buf_init(&text);
	reference_metrics(&page);
	buf_add_u8(&page, 0);
	metric_expose(&text);
	buf_add_u8(&text, 0);
	for (const char *at = (char *)text.data; (at = strstr(at, "# HELP ")); families++) {
		char want[200];
		at += strlen("# HELP ");
		(void)snprintf(want, sizeof(want), "| `%.*s` |", (int)strcspn(at, " "), at);
		missing += !strstr((char *)page.data, want);
	}
	tap_ok(families > 150 && !missing, "each of %u families has its row", families);
	tap_ok(strstr((char *)page.data, "`kymo_memory_bytes` | gauge | `part`: series, queries, "),
	    "with the values of its label");
	tap_ok(strstr((char *)page.data, "| `kymo_tenant_series` | gauge | `tenant` |"),
	    "those of tenants, too");
	buf_release(&page);
	buf_release(&text);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "write"))
		return write_all();
	for (size_t i = 0; i < COUNT_OF(pages); i++)
		is_in_step(&pages[i]);
	everything_is_there();
	every_metric_is_there();
	return tap_done();
}

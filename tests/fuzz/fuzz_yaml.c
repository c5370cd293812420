/*
 * yaml on any text, walked by the rows of the whole configuration. Mistakes stand inside the text,
 * each with its line and a caret; what is taken has no more memory than it is long, and is taken
 * again as it is shown, with nothing changed.
 */
#include "net/daemon/config.h"

#include <stdlib.h>

#define NAME "f"

struct reading {
	struct yaml_keep keep;
	struct config *c; /* its values; its own keep is not used */
	struct yaml *y;
	bool fine;
};

static void begin(struct reading *r, const struct yaml_schema *s, const char *text, size_t len)
{
	yaml_keep_init(&r->keep);
	r->c = calloc(1, sizeof(*r->c));
	if (!r->c)
		abort();
	flags_default(&r->c->flags);
	tenant_limits_default(&r->c->tenant_defaults.limits);
	r->y = yaml_open(NAME, text, len, &r->keep);
	bool walked = yaml_walk(r->y, yaml_root(r->y), s, r->c);
	r->fine = !yaml_failed(r->y);
	if (r->fine && !walked)
		abort();
}

static void end(struct reading *r)
{
	yaml_close(r->y);
	yaml_keep_release(&r->keep);
	free(r->c);
}

/* ---- what is told ---- */

static unsigned lines_of(const char *text, size_t len)
{
	unsigned n = 1;
	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

/* "f:3:14: sentence", a line of the text, a line with a caret. Returns what is behind them. */
static const char *judge_one(const char *p, unsigned lines)
{
	char *e;
	const char *shown, *caret, *nl;
	if (strncmp(p, NAME ":", 2))
		abort();
	if (p[2] == ' ')
		return strchr(p, '\n') + 1; /* of the file as a whole */
	unsigned long line = strtoul(p + 2, &e, 10), column = *e == ':' ? strtoul(e + 1, &e, 10) : 0;
	if (!line || line > lines || !column || *e != ':')
		abort();
	shown = strchr(p, '\n') + 1;
	caret = strchr(shown, '\n') + 1;
	nl = strchr(caret, '\n');
	if (strncmp(shown, "  ", 2) || strncmp(caret, "  ", 2) || nl[-1] != '^')
		abort();
	return nl + 1;
}

static void judge_told(struct reading *r, size_t len)
{
	struct buf b;
	unsigned told = 0;
	size_t all;
	unsigned lines = lines_of(yaml_text(r->y, &all), len);
	buf_init(&b);
	yaml_tell(r->y, &b);
	buf_add_u8(&b, 0);
	for (const char *p = (const char *)b.data; *p; told++)
		p = judge_one(p, lines);
	if (told != yaml_failed(r->y) && told != YAML_ERRORS_MAX + 1)
		abort();
	buf_release(&b);
}

/* ---- what is taken ---- */

static void judge_taken(struct reading *r, const struct yaml_schema *s)
{
	struct buf one, two;
	struct reading again;
	buf_init(&one);
	buf_init(&two);
	yaml_show(&one, s, r->c);
	begin(&again, s, (const char *)one.data, one.len);
	if (!again.fine)
		abort();
	yaml_show(&two, s, again.c);
	if (one.len != two.len || (one.len && memcmp(one.data, two.data, one.len)))
		abort();
	end(&again);
	buf_release(&one);
	buf_release(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct yaml_schema *s;
	static struct arena a;
	struct reading r;
	if (!s) {
		arena_init(&a, 65536);
		s = config_schema(&a);
	}
	char *text = malloc(size ? size : 1);
	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	begin(&r, s, text, size);
	if (arena_used(&r.keep.arena) > (size + 64) * 1024)
		abort();
	judge_told(&r, size);
	if (r.fine)
		judge_taken(&r, s);
	end(&r);
	free(text);
	return 0;
}

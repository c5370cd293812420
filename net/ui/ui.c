#include "net/ui/ui.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "net/http/asset.h"
#include "net/ui/uipack.h"

#define PAGE        "index.html"
#define UP          "{{up}}"       /* in the page: from its path to that of ui/ */
#define REV         "{{revision}}" /* in the page */
#define YEAR        "public, max-age=31536000, immutable"
#define CHECK_CACHE "no-cache"

struct ui {
	struct asset *files; /* as uipack_files */
	struct asset page[UI_DEPTH_MAX + 1];
	char revision[UI_REVISION_LEN + 1];
};

/*
 * What a page of ours may do: run its own modules, ask this server, be shown by nobody else. Texts
 * become nodes, never markup (require-trusted-types-for).
 */
static const struct {
	const char *name, *value;
} fields[] = {
	{ "content-security-policy",
	    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	    "connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; "
	    "require-trusted-types-for 'script'; trusted-types 'none'" },
	{ "x-content-type-options", "nosniff" },
	{ "x-frame-options", "DENY" },        /* for browsers that do not know frame-ancestors */
	{ "referrer-policy", "no-referrer" }, /* queries stand in the address */
	{ "cross-origin-resource-policy", "same-origin" },
};

static void add_fields(struct req *r)
{
	for (size_t i = 0; i < COUNT_OF(fields); i++)
		if (!req_answers_field(r, fields[i].name))
			req_answer_field(r, fields[i].name, "%s", fields[i].value);
}

static void revision_make(char out[UI_REVISION_LEN + 1])
{
	uint64_t h = 0;
	for (size_t i = 0; i < uipack_count; i++) {
		const struct uipack_file *f = &uipack_files[i];
		h = hash128(f->name, strlen(f->name), h).lo;
		h = hash128(f->gzip, f->gzip_len, h).lo;
	}
	int n = snprintf(out, UI_REVISION_LEN + 1, "%016" PRIx64, h);
	CHECK(n == (int)UI_REVISION_LEN);
}

/* text with what stands in braces filled in. */
static void fill(struct buf *out, const char *text, const char *up, const char *revision)
{
	for (const char *at; (at = strstr(text, "{{"));) {
		bool is_up = !strncmp(at, UP, strlen(UP));
		CHECK(is_up || !strncmp(at, REV, strlen(REV)));
		buf_add(out, text, (size_t)(at - text));
		buf_add_str(out, is_up ? up : revision);
		text = at + (is_up ? strlen(UP) : strlen(REV));
	}
	buf_add_str(out, text);
}

static void pages_make(struct ui *u, const struct asset *html)
{
	uint8_t *bytes = asset_unpack(html);
	CHECK(bytes);
	char *text = mem_zalloc(html->plain_len + 1);
	memcpy(text, bytes, html->plain_len);
	mem_free(bytes);
	for (unsigned depth = 0; depth <= UI_DEPTH_MAX; depth++) {
		struct buf b;
		buf_init(&b);
		fill(&b, text, depth ? "../" : "./", u->revision);
		asset_init(&u->page[depth], html->type, CHECK_CACHE, &b);
	}
	mem_free(text);
}

struct ui *ui_create(void)
{
	struct ui *u = mem_zalloc(sizeof *u);
	const struct asset *html = NULL;
	u->files = mem_zalloc(uipack_count * sizeof *u->files);
	for (size_t i = 0; i < uipack_count; i++) {
		const struct uipack_file *f = &uipack_files[i];
		asset_init_packed(&u->files[i], f->type, YEAR, f->gzip, f->gzip_len, f->plain_len);
		if (!strcmp(f->name, PAGE))
			html = &u->files[i];
	}
	revision_make(u->revision);
	CHECK(html);
	pages_make(u, html);
	return u;
}

void ui_free(struct ui *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < uipack_count; i++)
		asset_release(&u->files[i]);
	mem_free(u->files);
	for (unsigned i = 0; i <= UI_DEPTH_MAX; i++)
		asset_release(&u->page[i]);
	mem_free(u);
}

const char *ui_revision(const struct ui *u)
{
	return u->revision;
}

void ui_reply_page(const struct ui *u, struct req *r, unsigned depth)
{
	CHECK(depth <= UI_DEPTH_MAX);
	add_fields(r);
	req_reply_asset(r, &u->page[depth]);
}

/* Of "<revision>/<name>", when it is of this revision; or NULL. The page itself is no file. */
static const struct asset *find(const struct ui *u, const char *path)
{
	if (strncmp(path, u->revision, UI_REVISION_LEN) != 0 || path[UI_REVISION_LEN] != '/')
		return NULL;
	const char *name = path + UI_REVISION_LEN + 1;
	for (size_t i = 0; i < uipack_count; i++)
		if (!strcmp(uipack_files[i].name, name))
			return strcmp(name, PAGE) ? &u->files[i] : NULL;
	return NULL;
}

void ui_reply_file(const struct ui *u, struct req *r)
{
	const struct asset *a = find(u, r->param);
	add_fields(r);
	if (a) {
		req_reply_asset(r, a);
		return;
	}
	req_answer_field(r, "cache-control", "no-store");
	req_reply_text(r, 404, "404 no such file in this version of the page: load the page again\n");
}

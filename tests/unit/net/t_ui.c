/* The web page: its files, its budget, its revision, and what its answers say. */
#include "net/ui/ui.h"

#include "net/http/asset.h"
#include "net/ui/uipack.h"
#include "tests/lib/tap.h"

#define BUDGET_BYTES (100u * 1000u) /* packed, all of it */

static const struct uipack_file *find(const char *name)
{
	for (size_t i = 0; i < uipack_count; i++)
		if (!strcmp(uipack_files[i].name, name))
			return &uipack_files[i];
	return NULL;
}

/* The plain text of a file, with a NUL; the caller's. */
static char *text_of(const struct uipack_file *f)
{
	struct asset a;
	asset_init_packed(&a, f->type, NULL, f->gzip, f->gzip_len, f->plain_len);
	uint8_t *bytes = asset_unpack(&a);
	asset_release(&a);
	if (!bytes)
		return NULL;
	char *text = mem_zalloc(f->plain_len + 1);
	memcpy(text, bytes, f->plain_len);
	mem_free(bytes);
	return text;
}

static void files_are_whole(void)
{
	size_t packed = 0, sorted = 0, dated = 0;
	for (size_t i = 0; i < uipack_count; i++) {
		const struct uipack_file *f = &uipack_files[i];
		char *text = text_of(f);
		tap_ok(text && f->plain_len > 100 && strlen(text) == f->plain_len,
		    "%s unpacks to %zu bytes of text", f->name, f->plain_len);
		mem_free(text);
		packed += f->gzip_len;
		sorted += i && strcmp(uipack_files[i - 1].name, f->name) < 0;
		/* RFC 1952: flags, and the time of the file; both would change the revision. */
		dated += f->gzip[3] || f->gzip[4] || f->gzip[5] || f->gzip[6] || f->gzip[7];
	}
	tap_ok(packed < BUDGET_BYTES, "all of it takes %zu bytes, %u at most", packed, BUDGET_BYTES);
	tap_is_i64((int64_t)sorted, (int64_t)uipack_count - 1,
	    "the list in net/net.am is sorted, and no file stands there twice");
	tap_is_i64((int64_t)dated, 0, "no file has a time or a name in it: builds are alike");
}

/* What the rules of the page forbid (net/ui/README.md), and its policy would stop. */
static const char *const forbidden[] = {
	"innerHTML",
	"outerHTML",
	"insertAdjacentHTML",
	"document.write",
	"eval(",
	"new Function(",
	"setAttribute(\"style\"",
	"\"http://",
	"\"https://",
	"@import",
	"url(",
};

static void rules_are_kept(void)
{
	for (size_t i = 0; i < uipack_count; i++) {
		const struct uipack_file *f = &uipack_files[i];
		bool code = strstr(f->type, "javascript"), css = strstr(f->type, "css");
		if (!code && !css)
			continue;
		char *text = text_of(f);
		const char *bad = NULL;
		/* The name space of SVG is a name, and asks nobody. */
		char *svg = strstr(text, "\"http://www.w3.org/2000/svg\"");
		if (svg)
			*svg = ' ';
		for (size_t k = 0; k < COUNT_OF(forbidden) && !bad; k++)
			if (strstr(text, forbidden[k]))
				bad = forbidden[k];
		tap_ok(!bad, "%s keeps the rules%s%s", f->name, bad ? ", but has " : "",
		    bad ? bad : "");
		mem_free(text);
	}
}

static void page_names_its_files(void)
{
	char *text = text_of(find("index.html"));
	unsigned named = 0;
	for (const char *at = text; (at = strstr(at, "{{up}}ui/{{revision}}/")); named++) {
		char name[128];
		at += strlen("{{up}}ui/{{revision}}/");
		snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "\""), at);
		tap_ok(find(name), "the page asks for %s, which is there", name);
	}
	tap_ok(named >= 4, "it asks for %u files", named);
	tap_ok(!strstr(text, "style=") && !strstr(text, "onclick") && !strstr(text, "<style"),
	    "it has no style and no script in itself");
	mem_free(text);
}

int main(void)
{
	struct ui *u = ui_create(), *again = ui_create();
	files_are_whole();
	rules_are_kept();
	page_names_its_files();
	tap_is_i64((int64_t)strlen(ui_revision(u)), UI_REVISION_LEN, "a revision is %u digits",
	    UI_REVISION_LEN);
	tap_is_str(ui_revision(u), ui_revision(again), "and the same for the same files: %s",
	    ui_revision(u));
	ui_free(u);
	ui_free(again);
	ui_free(NULL);
	return tap_done();
}

/* core/model/tenant: names, rows and their limits, found by name and by id. */
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/model/tenant.h"
#include "tests/lib/tap.h"

#define ROWS 1000u

static void names_are_checked(void)
{
	struct errbuf eb;
	errbuf_init(&eb);
	tap_ok(!tenant_name_check("team-A_7", 8, &eb) && !tenant_name_check("x", 1, &eb),
	    "letters, digits, _ and - make a name");
	char longest[TENANT_NAME_MAX + 2];
	memset(longest, 'a', sizeof longest);
	tap_ok(!tenant_name_check(longest, TENANT_NAME_MAX, &eb), "64 characters are a name");
	tap_ok(tenant_name_check(longest, TENANT_NAME_MAX + 1, &eb) == ERR_BADDATA, "65 are none");
	tap_is_str(eb.text, "tenant name \"aaaaaaaaaaaaaaaaaaaa...\": 65 characters, at most 64",
	    "the text says how long it is");
	static const char *const bad[] = { "a/b", "a.b", "..", "a|b", "a b", "\xc3\xa4", "a\n" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		errbuf_init(&eb);
		tap_ok(tenant_name_check(bad[i], strlen(bad[i]), &eb) == ERR_BADDATA &&
		        strstr(eb.text, "may stand in it"),
		    "name %zu is refused with what may stand in one", i);
	}
	errbuf_init(&eb);
	tap_ok(tenant_name_check("a\0b", 3, &eb) == ERR_BADDATA, "a name has no zero byte");
	errbuf_init(&eb);
	tap_ok(tenant_name_check("", 0, &eb) == ERR_BADDATA, "the empty name is none");
}

static void row_set(struct tenant_row *row, const char *name, uint64_t series)
{
	*row = (struct tenant_row){ 0 };
	snprintf(row->name, sizeof row->name, "%s", name);
	row->limits.series = series;
	row->own = series ? UINT64_C(1) << TENANT_LIMIT_series : 0;
}

static void limits_of_everybody(void)
{
	struct tenant_limits usual;
	tenant_limits_default(&usual);
	tap_is_u64(usual.samples_burst_ms, 10000, "bursts are ten seconds unless told otherwise");
	tap_is_u64(usual.series, 0, "nothing else is limited");
	tap_ok(!memcmp(tenant_limits_of(NULL, 7), &usual, sizeof usual),
	    "without a snapshot everybody has the usual limits");
	tap_ok(!memcmp(tenant_limits_here(7), &usual, sizeof usual), "so does who is on no loop");
	struct tenants *t;
	tap_ok(!tenants_create(&t, NULL, NULL, 0, NULL), "a snapshot without rows");
	tap_ok(!tenants_find(t, "x", 1) && !tenants_of(t, 0) && !tenants_of(t, TENANT_NONE),
	    "nobody has a row there");
	tap_ok(!memcmp(tenant_limits_of(t, 3), &usual, sizeof usual), "everybody the usual limits");
	tenants_free(t);
}

static void rows_have_what_they_say(void)
{
	struct tenant_limits defaults;
	tenant_limits_default(&defaults);
	defaults.series = 500;
	defaults.retention_ms = 7200000;
	struct tenant_row rows[3];
	row_set(&rows[0], "zoo", 0);
	row_set(&rows[1], "default", 20);
	row_set(&rows[2], "acme", 50000);
	struct tenants *t;
	struct errbuf eb;
	errbuf_init(&eb);
	if (!tap_ok(!tenants_create(&t, &defaults, rows, 3, &eb), "rows are taken: %s", eb.text))
		return;
	const struct tenant_row *acme = tenants_find(t, "acme", 4);
	tap_ok(acme == &t->rows[0] && acme->id == TENANT_NONE, "rows stand by name, without ids");
	tap_is_u64(acme->limits.series, 50000, "a row has what it says");
	tap_is_u64(acme->limits.retention_ms, 7200000, "and the defaults for the rest");
	tap_ok(tenants_of(t, TENANT_DEFAULT) == &t->rows[1], "row default is tenant 0");
	tenants_set_id(t, 0, 12);
	tap_ok(tenants_of(t, 12) == acme && tenant_limits_of(t, 12) == &acme->limits,
	    "a row is found by its id");
	tap_ok(tenant_limits_of(t, 11) == &t->defaults, "an id without a row has the defaults");
	char text[TENANT_LIMIT_TEXT_MAX];
	tap_is_str(tenant_limit_text(t, 12, TENANT_LIMIT_series, text),
	    "limit 50,000 (tenants.acme.series)", "the text names the row's key");
	tap_is_str(tenant_limit_text(t, 12, TENANT_LIMIT_retention_ms, text),
	    "limit 2h (tenants.defaults.retention)", "or that of the defaults");
	tenants_free(t);
	row_set(&rows[0], "acme", 0);
	tap_ok(tenants_create(&t, NULL, rows, 3, &eb) == ERR_BADDATA, "a name stands there once");
	tap_is_str(eb.text, "tenant \"acme\" stands there twice", "the text says which");
	errbuf_init(&eb);
	row_set(&rows[0], "a/b", 0);
	tap_ok(tenants_create(&t, NULL, rows, 3, &eb) == ERR_BADDATA, "names are checked");
}

static void a_thousand_rows(void)
{
	struct tenant_row *rows = mem_zalloc(ROWS * sizeof *rows);
	for (uint32_t i = 0; i < ROWS; i++) {
		char name[32];
		snprintf(name, sizeof name, "tenant-%u", i);
		row_set(&rows[i], name, i + 1);
	}
	struct tenants *t;
	tap_ok(!tenants_create(&t, NULL, rows, ROWS, NULL), "a thousand rows are taken");
	bool all = true;
	for (uint32_t i = 0; i < ROWS; i++) {
		const struct tenant_row *row = tenants_find(t, rows[i].name, strlen(rows[i].name));
		all &= row && row->limits.series == i + 1;
		if (row)
			tenants_set_id(t, (uint32_t)(row - t->rows), 3 * i);
	}
	tap_ok(all, "each is found by name");
	for (uint32_t i = 0; i < ROWS; i++)
		all &= tenant_limits_of(t, 3 * i)->series == i + 1 &&
		    tenant_limits_of(t, 3 * i + 1)->series == 0;
	tap_ok(all, "each by id, nobody else");
	for (uint32_t i = 1; i < ROWS; i++)
		all &= strcmp(t->rows[i - 1].name, t->rows[i].name) < 0;
	tap_ok(all, "they stand by name");
	tenants_free(t);
	mem_free(rows);
}

int main(void)
{
	names_are_checked();
	limits_of_everybody();
	rows_have_what_they_say();
	a_thousand_rows();
	return tap_done();
}

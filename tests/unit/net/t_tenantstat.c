/* net/api/tenantstat: which tenants /metrics tells of one by one, and what it says of the rest. */
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/model/limits.h"
#include "core/model/tenant.h"
#include "net/api/tenantstat.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static struct storetest s;
static struct tenantstat *stat;
static struct limits limits;
static char *text;

static void put_here(void *arg)
{
	struct buf b;
	(void)arg;
	buf_init(&b);
	loop_set_limits(loop_here(), &limits);
	tenantstat_put(stat, s.store, &b);
	buf_add_u8(&b, 0);
	free(text);
	text = strdup((const char *)b.data);
	buf_release(&b);
}

static bool says(const char *line)
{
	if (strstr(text, line))
		return true;
	tap_note("%s", text);
	return false;
}

int main(void)
{
	char *dir = testlib_tmpdir("tenantstat");
	struct tenant_row rows[5] = { { .name = "a" }, { .name = "b" }, { .name = "c" },
		{ .name = "d" }, { .name = "e" } };
	struct tenants *all, *named;
	limits_default(&limits);
	storetest_init(&s, dir);
	if (!TAP_OK(!storetest_open(&s, 2)) || !TAP_OK(!tenants_create(&all, NULL, rows, 5, NULL)) ||
	    !TAP_OK(!tenants_create(&named, NULL, &rows[4], 1, NULL)) ||
	    !TAP_OK(!store_tenants_bind_wait(s.store, all, NULL)) ||
	    !TAP_OK(!store_tenants_bind_wait(s.store, named, NULL)))
		return 1;
	stat = tenantstat_create();
	for (uint32_t id = 1; id <= 5; id++)
		tenantstat_wrote(stat, id, 100 * (6 - id), id);
	tenantstat_asked(stat, 2, UINT64_C(1500000000));
	tenantstat_asked(stat, 2, UINT64_C(1000));
	tenantstat_asked(stat, TENANT_NONE, 1);
	testteam_run(&s.tt, 0, put_here, NULL);
	tap_ok(says("kymo_tenant_samples_ingested_total{tenant=\"a\"} 500\n") &&
	        says("kymo_tenant_samples_refused_total{tenant=\"e\"} 5\n") &&
	        says("kymo_tenant_series{tenant=\"default\"} 0\n") && !strstr(text, "~other"),
	    "few are all told of");
	tap_ok(says("kymo_tenant_queries_total{tenant=\"b\"} 2\n") &&
	        says("kymo_tenant_query_seconds_total{tenant=\"b\"} 1.500001\n"),
	    "queries and their seconds");
	limits.tenant_metrics = 2;
	storetest_tenants(&s, named);
	testteam_run(&s.tt, 0, put_here, NULL);
	tap_ok(says("ingested_total{tenant=\"e\"} 100\n") &&
	        says("ingested_total{tenant=\"a\"} 500\n") &&
	        says("ingested_total{tenant=\"b\"} 400\n") && !strstr(text, "tenant=\"c\""),
	    "of many, those of the configuration and the two largest others");
	tap_ok(says("ingested_total{tenant=\"~other\"} 500\n") &&
	        says("refused_total{tenant=\"~other\"} 7\n"),
	    "the rest together");
	storetest_tenants(&s, NULL);
	storetest_close(&s);
	tenantstat_free(stat);
	tenants_free(all);
	tenants_free(named);
	free(text);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}

#include "net/daemon/flags.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/tap.h"

#define SHARDS_TEXT 32

static struct flags f;
static struct errbuf eb;

static enum err parse(int argc, const char **argv)
{
	errbuf_init(&eb);
	return flags_parse(argc, (char **)(uintptr_t)argv, &f, &eb);
}
#define PARSE(...)                                                                                 \
 parse((int)COUNT_OF(((const char *[]){ "kymod", __VA_ARGS__ })),                                  \
     (const char *[]){ "kymod", __VA_ARGS__ })

static void count_flag(void *arg, const char *name, const char *value)
{
	(void)value;
	if (!strcmp(name, "retention"))
		++*(int *)arg;
}

static void keep_shards(void *arg, const char *name, const char *value)
{
	if (!strcmp(name, "shards"))
		(void)snprintf(arg, SHARDS_TEXT, "%s", value);
}

int main(void)
{
	tap_ok(!parse(1, (const char *[]){ "kymod" }), "no flags are fine");
	tap_ok(f.listen_count == 1 && !strcmp(f.listen[0], "0.0.0.0:9470"),
	    "the default address is 0.0.0.0:9470");
	tap_ok(f.sync == STORE_SYNC_COMMIT && f.retention_ms == 30LL * 86400 * 1000 &&
	        f.ooo_window_ms == 3600 * 1000,
	    "defaults are commit, 30d, 1h");
	tap_ok(!PARSE("--listen", "127.0.0.1:1", "--listen=127.0.0.1:2", "--loops=3",
	           "--wal.share=64MiB", "--web.enable-admin-api"),
	    "flags are read in both forms");
	tap_ok(f.listen_count == 2 && f.loops == 3 && f.log_share_bytes == 64 << 20 && f.admin_api,
	    "their values arrive");
	tap_ok(PARSE("--retenton", "1d") == ERR_BADDATA &&
	        strstr(eb.text, "did you mean --retention?"),
	    "a mistyped flag names the nearest: %s", eb.text);
	tap_ok(
	    PARSE("--wal.sync=comit") == ERR_BADDATA && strstr(eb.text, "did you mean \"commit\"?"),
	    "a mistyped word names the nearest: %s", eb.text);
	tap_ok(PARSE("--loops", "0") == ERR_BADDATA && strstr(eb.text, "less than 1"),
	    "limits are told: %s", eb.text);
	tap_ok(PARSE("--loops", "two") == ERR_BADDATA && strstr(eb.text, "whole number"),
	    "kinds are told: %s", eb.text);
	tap_ok(PARSE("--loops") == ERR_BADDATA && strstr(eb.text, "needs a value"),
	    "a missing value is told: %s", eb.text);
	tap_ok(PARSE("--retention", "soon") == ERR_BADDATA && strstr(eb.text, "not a duration"),
	    "a bad duration is told: %s", eb.text);
	tap_ok(PARSE("data") == ERR_BADDATA && strstr(eb.text, "unexpected argument"),
	    "a bare word is refused: %s", eb.text);
	tap_ok(PARSE("--web.enable-admin-api=yes") == ERR_BADDATA, "a switch takes no value");
	int seen = 0;
	tap_ok(!PARSE("--retention", "2d"), "2d is a duration");
	flags_each(&f, count_flag, &seen);
	tap_ok(seen == 1, "each flag is listed once");
	char shards[SHARDS_TEXT] = "";
	flags_each(&f, keep_shards, shards);
	tap_ok(!strcmp(shards, "16"), "a default is listed as what it means: %s", shards);
	tap_ok(PARSE("--retention", "0s") == ERR_BADDATA && strstr(eb.text, "less than 1s"),
	    "limits of durations are durations: %s", eb.text);
	tap_ok(!PARSE("-h") && f.help, "-h is --help");
	return tap_done();
}

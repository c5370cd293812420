/* A large body of OTLP/JSON, read as net/recv reads it: a batch is emptied only when it is full. */
#include "proto/otlpbody.h"

#include <string.h>

#include "proto/otlp.h"
#include "tests/lib/tap.h"

#define POINTS     20000u
#define VALUE      300u /* bytes of an attribute: a turn ends long before a batch is full */
#define BODY_BYTES (64u << 20)

static struct decode d;
static struct arena arena, keep;
static struct batch batch;
static struct limits limits;
static struct errbuf eb;
static uint64_t rows, calls;
static size_t held;

static void store(void)
{
	rows += batch.rows_count;
	batch_clear(&batch);
	arena_reset(&arena, 64u << 10);
}

/* False: it says nothing and reads nothing, or fails. */
static bool read_all(const struct buf *body)
{
	const uint8_t *p = body->data, *end = p + body->len;
	rows = calls = held = 0;
	d = (struct decode){ .limits = &limits, .arena = &arena, .keep = &keep, .batch = &batch };
	errbuf_init(&eb);
	bool good = true;
	while (good && p < end) {
		const uint8_t *from = p;
		if (decode_full(&d))
			store();
		size_t before = batch.rows_count + batch.metas_count;
		good = !otlpbody_json.next(&d, &p, end, true, &eb) &&
		    (p != from || batch.rows_count + batch.metas_count != before);
		held = d.held > held ? d.held : held;
		calls++;
	}
	store();
	if (d.own)
		otlpbody_json.end(&d);
	arena_reset(&keep, 0);
	return good;
}

/* Times go up by a millisecond; name "" is a metric that nobody can name. */
static void make(struct buf *body, const char *name)
{
	buf_clear(body);
	buf_printf(body,
	    "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"%s\",\"gauge\":{"
	    "\"dataPoints\":[",
	    name);
	for (unsigned i = 0; i < POINTS; i++)
		buf_printf(body,
		    "%s{\"timeUnixNano\":%u000000,\"asInt\":1,\"attributes\":[{\"key\":\"k\",\"value\":{"
		    "\"stringValue\":\"%0*u\"}}]}",
		    i ? "," : "", i + 1, (int)VALUE, i);
	buf_add_str(body, "]}}]}]}]}");
}

int main(void)
{
	struct buf body;
	buf_init(&body);
	arena_init(&arena, 4096);
	arena_init(&keep, 4096);
	batch_init(&batch);
	limits_default(&limits);
	limits.write_body_bytes = BODY_BYTES;
	make(&body, "m");
	bool good = read_all(&body);
	tap_ok(good && rows == POINTS && !d.bad && calls > POINTS / DECODE_ROWS,
	    "%zu bytes, %llu rows in %llu calls %s", body.len, (unsigned long long)rows,
	    (unsigned long long)calls, eb.text);
	tap_ok(held > (size_t)POINTS * VALUE && held < BODY_BYTES && !d.held,
	    "memory beside the arenas is told while it is there (%zu bytes)", held);
	make(&body, "");
	tap_ok(read_all(&body) && !rows && d.bad == POINTS,
	    "points that are all left out are read, too");
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
	buf_release(&body);
	return tap_done();
}

/*
 * Bodies of Datadog, the first byte says of which kind. Judges: protobuf-c reads a MetricPayload as
 * our own walk does, series by series, point by point; rows have canonical labels; a body read
 * twice gives the same.
 */
#include "core/base/wire.h"
#include "proto/datadog.h"
#include "proto/gen/datadog.pb-c.h"
#include "tests/lib/drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct decoder *const kinds[] = { &datadog_series, &datadog_json1, &datadog_json2,
	&datadog_values, &datadog_sketches, &datadog_columns };

/* As many samples as a payload has that can be stored, and how many series cannot. */
static void judge(const uint8_t *data, size_t size, uint64_t *rows, uint64_t *bad, uint64_t *sum)
{
	Datadog__MetricPayload *p = datadog__metric_payload__unpack(NULL, size, data);
	*rows = *bad = *sum = 0;
	if (!p) {
		*rows = UINT64_MAX;
		return;
	}
	for (size_t i = 0; i < p->n_series; i++) {
		const Datadog__MetricPayload__MetricSeries *s = p->series[i];
		if (!s->metric.len || s->metric.len > UINT16_MAX || s->n_points > DATADOG_POINTS) {
			++*bad;
			continue;
		}
		*rows += s->n_points;
		for (size_t k = 0; k < s->n_points; k++)
			*sum += num_bits(s->points[k]->value);
	}
	datadog__metric_payload__free_unpacked(p, NULL);
}

/* The same of our rows; values alone, names are changed. */
static uint64_t bits_of(const struct batch *b)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < b->rows_count; i++)
		sum += b->rows[i].bits;
	return sum;
}

static void series(const uint8_t *data, size_t size)
{
	struct drive v;
	uint64_t rows, bad, sum, ours = 0, made = 0;
	const uint8_t *p = data, *end = data + size;
	enum err e = ERR_OK;
	drive_init(&v, &datadog_series, NULL);
	while (!e && p < end) {
		e = datadog_series.next(&v.d, &p, end, true, &v.eb);
		made += v.batch.rows_count;
		ours += bits_of(&v.batch);
		batch_clear(&v.batch);
		arena_reset(&v.arena, 64u << 10);
	}
	judge(data, size, &rows, &bad, &sum);
	/*
	 * protobuf-c refuses a whole payload for what costs us a series, and keeps one more label
	 * than a series may have.
	 */
	if (rows != UINT64_MAX && !e && v.d.bad == bad && (made != rows || ours != sum))
		abort();
	if (rows != UINT64_MAX && (e || v.d.bad < bad))
		abort();
	drive_release(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drive a, b;
	if (!size)
		return 0;
	const struct decoder *d = kinds[*data % COUNT_OF(kinds)];
	data++;
	size--;
	drive_init(&a, d, NULL);
	drive_init(&b, d, NULL);
	enum err e = drive(&a, data, size, SIZE_MAX);
	if (drive(&b, data, size, SIZE_MAX) != e || strcmp(drive_text(&a), drive_text(&b)) != 0)
		abort();
	if (!a.canonical || (e && !a.eb.text[0]))
		abort();
	if (d == &datadog_series)
		series(data, size);
	drive_release(&a);
	drive_release(&b);
	return 0;
}

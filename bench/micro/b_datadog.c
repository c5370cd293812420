/* 1,000 series of an agent, with a host, six tags and one point each: protobuf, JSON. */
#include "bench/micro/decodertime.h"
#include "core/base/wire.h"
#include "proto/datadog.h"

#include <inttypes.h>
#include <stdio.h>

#define SERIES 1000u

static void text(struct buf *b, unsigned number, const char *s)
{
	wire_put_varint(b, number << 3 | 2);
	wire_put_lenbytes(b, s, strlen(s));
}

static const char *const tags[] = { "env:prod", "service:checkout", "version:1.2.3",
	"kube_namespace:shop", "team:payments", "region:eu-central-1" };

static void protobuf(struct buf *b)
{
	struct buf s, m;
	buf_init(&s);
	buf_init(&m);
	for (unsigned i = 0; i < SERIES; i++) {
		char name[64], tag[64];
		s.len = m.len = 0;
		text(&m, 1, "host");
		text(&m, 2, "i-0123456789abcdef0");
		wire_put_varint(&s, 1 << 3 | 2);
		wire_put_lenbytes(&s, m.data, m.len);
		snprintf(name, sizeof(name), "kubernetes.cpu.usage.part%u", i % 40);
		snprintf(tag, sizeof(tag), "pod_name:checkout-%u", i);
		text(&s, 2, name);
		for (size_t k = 0; k < COUNT_OF(tags); k++)
			text(&s, 3, tags[k]);
		text(&s, 3, tag);
		m.len = 0;
		wire_put_varint(&m, 1 << 3 | 1);
		wire_put_f64(&m, i * 0.37);
		wire_put_varint(&m, 2 << 3);
		wire_put_varint(&m, 1700000000);
		wire_put_varint(&s, 4 << 3 | 2);
		wire_put_lenbytes(&s, m.data, m.len);
		wire_put_varint(b, 1 << 3 | 2);
		wire_put_lenbytes(b, s.data, s.len);
	}
	buf_release(&s);
	buf_release(&m);
}

static void json(struct buf *b)
{
	buf_add_str(b, "{\"series\":[");
	for (unsigned i = 0; i < SERIES; i++) {
		buf_printf(b,
		    "%s{\"metric\":\"kubernetes.cpu.usage.part%u\",\"type\":3,\"points\":[{\"timestamp\":1700000000,\"value\":%u.37}],\"resources\":[{\"type\":\"host\",\"name\":\"i-0123456789abcdef0\"}],\"tags\":[",
		    i ? "," : "", i % 40, i);
		for (size_t k = 0; k < COUNT_OF(tags); k++)
			buf_printf(b, "\"%s\",", tags[k]);
		buf_printf(b, "\"pod_name:checkout-%u\"]}", i);
	}
	buf_add_str(b, "]}");
}

int main(void)
{
	decodertime("datadog protobuf", "series", &datadog_series, protobuf);
	decodertime("datadog json", "series", &datadog_json2, json);
	return 0;
}

/*
 * Judges: a head scanned byte by byte and whole end alike; results lie inside the input; what is
 * accepted says one length of its body at most.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/h1resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const char *head, size_t len, const char *s, size_t n)
{
	if (n && (s < head || n > len || (size_t)(s - head) > len - n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct h1msg_limits max = { .head_bytes = 16384, .fields = 100 };
	static struct h1msg_field fields[101];
	struct h1msg_scan whole = { 0 }, slow = { 0 };
	int want = h1resp_scan(&whole, data, size, &max), got = 0;
	for (size_t n = 1; n <= size && !got; n++)
		got = h1resp_scan(&slow, data, n, &max);
	if (got != want && !(got < 0 && want < 0))
		abort();
	if (want <= 0)
		return 0;
	size_t len = (size_t)want;
	char *head = malloc(len);
	if (!head)
		abort();
	memcpy(head, data, len);
	struct h1resp r = { .fields = fields, .field_cap = 101 };
	const char *why = NULL;
	if (h1resp_parse(head, len, &r, &why)) {
		if (r.status < 100 || r.status > 599 || r.minor > 1 ||
		    (r.chunked && (r.content_length >= 0 || !r.minor)))
			abort();
		inside(head, len, r.reason, r.reason_len);
		for (size_t i = 0; i < r.field_count; i++) {
			inside(head, len, r.fields[i].name, r.fields[i].name_len + 1);
			inside(head, len, r.fields[i].value, r.fields[i].value_len + 1);
			if (strlen(r.fields[i].value) != r.fields[i].value_len ||
			    strlen(r.fields[i].name) != r.fields[i].name_len)
				abort();
		}
	} else if (!why) {
		abort();
	}
	free(head);
	return 0;
}

/*
 * A line of the access log from any bytes as path, query, agent and trace: one line in each form,
 * JSON that is JSON, and no secret of the query in it.
 */
#include "net/api/accesslog.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "s3cr3t-s3cr3t"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *query = malloc(size + 64), *referer = malloc(size + 64);
	struct buf out;
	if (!text || !query || !referer || size > 65536 || memmem(data, size, SECRET, strlen(SECRET)))
		goto out;
	memcpy(text, data, size);
	text[size] = 0;
	for (size_t i = 0; i < size; i++) /* as a head has it: no NUL */
		text[i] = text[i] ? text[i] : '0';
	size_t query_len = size + (size_t)snprintf(query + size, 64, "&token=" SECRET "&p=1");
	memcpy(query, text, size);
	(void)snprintf(referer, size + 64, "http://u:" SECRET "@x/?%s&token=" SECRET, text);
	struct req_field fields[] = { { "user-agent", text, 10, size },
		{ "traceparent", text, 11, size }, { "x-request-id", text, 12, size },
		{ "referer", referer, 7, strlen(referer) } };
	struct req r = { .method = REQ_GET,
		.path = text,
		.path_len = size,
		.query = query,
		.query_len = query_len,
		.identity = text,
		.http_version = 11,
		.fields = fields,
		.field_count = 4 };
	for (int form = ACCESSLOG_LOGFMT; form <= ACCESSLOG_COMBINED; form++) {
		buf_init(&out);
		accesslog_line(&out, &r, &(struct req_told){ .status = 200 },
		    (enum accesslog_form)form, text, 1795939938000);
		if (memchr(out.data, '\n', out.len) != out.data + out.len - 1)
			abort();
		for (size_t i = 0; i + 1 < out.len; i++)
			if (out.data[i] < 0x20 || out.data[i] == 0x7f ||
			    (out.data[i] == 0xc2 && out.data[i + 1] < 0xa0))
				abort(); /* it would steer a terminal */
		if (memmem(out.data, out.len, SECRET, strlen(SECRET)))
			abort();
		json_t *j = form == ACCESSLOG_JSON
		    ? json_loadb((const char *)out.data, out.len, JSON_ALLOW_NUL, NULL)
		    : NULL;
		if (form == ACCESSLOG_JSON && !j)
			abort();
		json_decref(j);
		buf_release(&out);
	}
out:
	free(text);
	free(query);
	free(referer);
	return 0;
}

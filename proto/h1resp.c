#include "proto/h1resp.h"

#include <string.h>

#include "proto/h1msg_priv.h"

static const char version[] = "HTTP/1.";
#define VERSION_LEN (sizeof version - 1)
#define LINE_LEAST  (VERSION_LEN + 5) /* "HTTP/1.1 200" */

int h1resp_scan(struct h1msg_scan *s, const uint8_t *data, size_t len, const struct h1msg_limits *max)
{
	if (s->looked < VERSION_LEN && len &&
	    memcmp(data, version, len < VERSION_LEN ? len : VERSION_LEN) != 0)
		return H1RESP_MALFORMED;
	int n = h1msg_scan(s, data, len, max);
	return n >= 0 ? n : n == -400 ? H1RESP_MALFORMED : H1RESP_TOO_LARGE;
}

/* RFC 9112, 4. The blank before an empty reason is often left out; that misleads nobody. */
static bool parse_line(struct h1resp *r, char *line, size_t len)
{
	const char *code = line + VERSION_LEN + 2;
	if (len < LINE_LEAST || memcmp(line, version, VERSION_LEN) != 0 || code[-1] != ' ')
		return false;
	if (line[VERSION_LEN] != '0' && line[VERSION_LEN] != '1')
		return false;
	r->minor = (unsigned)(line[VERSION_LEN] - '0');
	for (int i = 0; i < 3; i++) {
		if (code[i] < '0' || code[i] > '9')
			return false;
		r->status = r->status * 10 + (code[i] - '0');
	}
	if (r->status < 100 || r->status > 599 || (len > LINE_LEAST && line[LINE_LEAST] != ' '))
		return false;
	if (len > LINE_LEAST) {
		r->reason = line + LINE_LEAST + 1;
		r->reason_len = len - LINE_LEAST - 1;
	}
	return h1msg_is_text(r->reason, r->reason_len);
}

struct seen {
	bool length, coding, close, keep_alive;
};

static bool named(const struct h1msg_field *f, const char *name)
{
	return f->name_len == strlen(name) && !memcmp(f->name, name, f->name_len);
}

static bool meet_field(struct h1resp *r, struct seen *s, const struct h1msg_field *f, const char **why)
{
	if (named(f, "content-length")) {
		*why = "malformed or repeated Content-Length";
		bool again = s->length;
		s->length = true;
		return !again && h1msg_length(f->value, f->value_len, &r->content_length);
	}
	if (named(f, "transfer-encoding")) {
		*why = "Transfer-Encoding: chunked, once, is all that is known here";
		bool again = s->coding;
		s->coding = r->chunked = true;
		return !again && h1msg_word_is(f->value, f->value_len, "chunked");
	}
	if (named(f, "connection"))
		h1msg_connection(f->value, f->value_len, &s->close, &s->keep_alive);
	return true;
}

static bool check_framing(struct h1resp *r, const struct seen *s, const char **why)
{
	*why = "both Content-Length and Transfer-Encoding";
	if (s->length && s->coding)
		return false;
	*why = "Transfer-Encoding in HTTP/1.0";
	if (s->coding && r->minor == 0)
		return false;
	*why = NULL;
	r->close = s->close || (r->minor == 0 && !s->keep_alive);
	return true;
}

bool h1resp_parse(char *head, size_t len, struct h1resp *r, const char **why)
{
	char *p = head, *end = head + len;
	struct seen seen = { 0 };
	r->status = 0;
	r->minor = 0;
	r->reason = "";
	r->reason_len = r->field_count = 0;
	r->content_length = -1;
	r->chunked = r->close = false;
	for (unsigned lines = 0; p < end; lines++) {
		char *lf = memchr(p, '\n', (size_t)(end - p));
		*why = "malformed head";
		if (!lf || lf == p || lf[-1] != '\r')
			return false;
		size_t n = (size_t)(lf - 1 - p);
		if (!n && lines && lf + 1 == end)
			return check_framing(r, &seen, why);
		if (!lines) {
			*why = "malformed status line";
			if (!parse_line(r, p, n))
				return false;
		} else {
			*why = "too many header fields";
			if (r->field_count == r->field_cap)
				return false;
			struct h1msg_field *f = &r->fields[r->field_count++];
			*why = "malformed header field";
			if (!h1msg_line_field(p, n, f) || !meet_field(r, &seen, f, why))
				return false;
		}
		p = lf + 1;
	}
	*why = "malformed head";
	return false;
}

enum h1resp_body h1resp_body(const struct h1resp *r, bool to_head)
{
	if (to_head || r->status < 200 || r->status == 204 || r->status == 304)
		return H1RESP_NONE;
	if (r->chunked)
		return H1RESP_CHUNKED;
	if (r->content_length < 0)
		return H1RESP_CLOSE;
	return r->content_length ? H1RESP_LENGTH : H1RESP_NONE;
}

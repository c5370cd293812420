/* Networks and addresses as text, and who is in a set of them. */
#include "core/base/cidr.h"

#include <string.h>

#include "tests/lib/tap.h"

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage sa;
	if (!cidr_address(text, strlen(text), &sa))
		memset(&sa, 0, sizeof sa);
	return sa;
}

static void texts(void)
{
	static const struct {
		const char *text, *shown; /* NULL: refused */
	} t[] = { { "10.0.0.0/8", "10.0.0.0/8" }, { "10.1.2.3/8", "10.0.0.0/8" },
		{ "192.0.2.1", "192.0.2.1/32" }, { "0.0.0.0/0", "0.0.0.0/0" }, { "::/0", "::/0" },
		{ "2001:db8::/32", "2001:db8::/32" }, { "2001:db8:ffff::1/33", "2001:db8:8000::/33" },
		{ "::1", "::1/128" }, { "10.0.0.0/33", NULL }, { "10.0.0.0/", NULL }, { "", NULL },
		{ "10.0.0/8", NULL }, { "10.0.0.0/-1", NULL }, { "10.0.0.0/8 ", NULL },
		{ "::/129", NULL }, { "localhost", NULL }, { "[::1]", NULL }, { "/8", NULL } };
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		struct cidr c;
		struct errbuf eb;
		char shown[CIDR_TEXT_MAX] = "";
		errbuf_init(&eb);
		enum err e = cidr_parse(t[i].text, strlen(t[i].text), &c, &eb);
		if (!e)
			cidr_text(&c, shown);
		tap_ok(t[i].shown ? !e && !strcmp(shown, t[i].shown)
		                  : e == ERR_BADDATA && strstr(eb.text, "is not an IP address"),
		    "\"%s\": %s", t[i].text, e ? eb.text : shown);
	}
}

static void sets(void)
{
	static const char *const rows[] = { "10.0.0.0/8", "192.0.2.1", "2001:db8::/33",
		"127.0.0.0/25" };
	static const struct {
		const char *address;
		bool in;
	} t[] = { { "10.255.0.1", true }, { "11.0.0.1", false }, { "192.0.2.1", true },
		{ "192.0.2.2", false }, { "::ffff:10.0.0.1", true }, { "2001:db8:7fff::1", true },
		{ "2001:db8:8000::1", false }, { "127.0.0.127", true }, { "127.0.0.128", false } };
	struct cidr_set s = { 0 }, copy;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct cidr c;
		tap_ok(!cidr_parse(rows[i], strlen(rows[i]), &c, NULL), "(%s)", rows[i]);
		cidr_set_add(&s, &c);
	}
	cidr_set_copy(&copy, &s);
	cidr_set_release(&s);
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		struct sockaddr_storage sa = address(t[i].address);
		tap_ok(cidr_set_has(&copy, &sa) == t[i].in, "%s is %s", t[i].address,
		    t[i].in ? "in" : "not in");
	}
	struct sockaddr_storage none = { .ss_family = AF_UNIX }, v4 = address("10.0.0.1");
	tap_ok(!cidr_set_has(&copy, &none) && !cidr_set_has(&s, &v4) && !cidr_set_has(NULL, &v4),
	    "another family, an empty set and none have nobody");
	cidr_set_release(&copy);
}

int main(void)
{
	texts();
	sets();
	return tap_done();
}

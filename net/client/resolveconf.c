#include "net/client/resolveconf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/mem.h"

#define NDOTS_USUAL    1u
#define NDOTS_MAX      15u /* as resolv.conf(5) has it */
#define ATTEMPTS_USUAL 2u
#define ATTEMPTS_MAX   5u
#define TIMEOUT_USUAL  2u /* seconds; libc has 5, which is our whole time for a connection */
#define TIMEOUT_MAX    30u
#define NAME_MAX_BYTES 255u
#define READ_STEP      (16u << 10)

struct resolveconf_host {
	char *name;
	struct resolveconf_addr addr;
	size_t line; /* equal names keep their order */
};

/* A line's words, between blanks; ends at a comment. */
struct words {
	char *at;
};

static char *next_word(struct words *w)
{
	w->at += strspn(w->at, " \t\r");
	if (!*w->at || *w->at == '#' || *w->at == ';')
		return NULL;
	char *word = w->at;
	w->at += strcspn(w->at, " \t\r");
	if (*w->at)
		*w->at++ = 0;
	return word;
}

static bool parse_addr(const char *s, struct resolveconf_addr *out)
{
	*out = (struct resolveconf_addr){ .family = AF_INET };
	if (inet_pton(AF_INET, s, out->ip) == 1)
		return true;
	out->family = AF_INET6;
	return inet_pton(AF_INET6, s, out->ip) == 1;
}

/* ---- resolv.conf ---- */

static void take_server(struct resolve_conf *c, const char *s)
{
	struct resolveconf_server *to = &c->servers[c->server_count];
	if (s && c->server_count < RESOLVECONF_SERVERS && parse_addr(s, &to->addr)) {
		to->port = 53;
		c->server_count++;
	}
}

static void drop_domains(struct resolve_conf *c)
{
	while (c->domain_count)
		mem_free(c->domains[--c->domain_count]);
}

static char *copy(const char *s)
{
	size_t n = strlen(s) + 1;
	char *out = mem_alloc(n);
	memcpy(out, s, n);
	return out;
}

/* The last line of them counts. */
static void take_domains(struct resolve_conf *c, struct words *w)
{
	drop_domains(c);
	for (char *s = next_word(w); s && c->domain_count < RESOLVECONF_DOMAINS; s = next_word(w))
		if (strlen(s) <= NAME_MAX_BYTES)
			c->domains[c->domain_count++] = copy(s);
}

static unsigned number(const char *s, unsigned max)
{
	unsigned n = 0;
	for (; *s >= '0' && *s <= '9' && n <= max; s++)
		n = n * 10 + (unsigned)(*s - '0');
	return n < max ? n : max;
}

static void take_option(struct resolve_conf *c, const char *s)
{
	unsigned n;
	if (!strncmp(s, "ndots:", 6)) {
		c->ndots = number(s + 6, NDOTS_MAX);
	} else if (!strncmp(s, "timeout:", 8)) {
		n = number(s + 8, TIMEOUT_MAX);
		c->timeout_ms = (n ? n : 1) * 1000;
	} else if (!strncmp(s, "attempts:", 9)) {
		n = number(s + 9, ATTEMPTS_MAX);
		c->attempts = n ? n : 1;
	} else if (!strcmp(s, "rotate")) {
		c->rotate = true;
	}
}

static void take_resolv_line(struct resolve_conf *c, char *line)
{
	struct words w = { line };
	char *what = next_word(&w), *s;
	if (!what)
		return;
	if (!strcmp(what, "nameserver"))
		take_server(c, next_word(&w));
	else if (!strcmp(what, "search") || !strcmp(what, "domain"))
		take_domains(c, &w);
	else if (!strcmp(what, "options"))
		while ((s = next_word(&w)))
			take_option(c, s);
}

/* ---- hosts ---- */

static void take_host_line(struct resolve_conf *c, char *line)
{
	struct words w = { line };
	struct resolveconf_addr addr;
	char *s = next_word(&w);
	if (!s || !parse_addr(s, &addr))
		return;
	while ((s = next_word(&w)) && c->_host_count < RESOLVECONF_NAMES) {
		size_t n = strlen(s);
		if (n > 1 && s[n - 1] == '.')
			s[--n] = 0;
		if (n > NAME_MAX_BYTES)
			continue;
		if (c->_host_count == c->_host_cap) {
			c->_host_cap = c->_host_cap ? 2 * c->_host_cap : 16;
			c->_hosts = mem_array(c->_hosts, c->_host_cap, sizeof *c->_hosts);
		}
		c->_hosts[c->_host_count] =
		    (struct resolveconf_host){ .name = copy(s), .addr = addr, .line = c->_host_count };
		c->_host_count++;
	}
}

static int host_order(const void *a, const void *b)
{
	const struct resolveconf_host *x = a, *y = b;
	int d = strcasecmp(x->name, y->name);
	return d ? d : x->line < y->line ? -1 : x->line > y->line;
}

static bool is_localhost(const char *name)
{
	static const char word[] = "localhost";
	size_t n = strlen(name), w = sizeof word - 1;
	return n >= w && !strcasecmp(name + n - w, word) && (n == w || name[n - w - 1] == '.');
}

size_t resolveconf_host(
    const struct resolve_conf *c, const char *name, struct resolveconf_addr *out, size_t cap)
{
	size_t lo = 0, hi = c->_host_count, n = 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (strcasecmp(c->_hosts[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < c->_host_count && n < cap && !strcasecmp(c->_hosts[lo].name, name); lo++)
		out[n++] = c->_hosts[lo].addr;
	if (n || !is_localhost(name) || cap < 2)
		return n;
	out[0] = (struct resolveconf_addr){ .family = AF_INET6, .ip = { [15] = 1 } };
	out[1] = (struct resolveconf_addr){ .family = AF_INET, .ip = { 127, 0, 0, 1 } };
	return 2;
}

/* ---- files ---- */

static enum err read_file(const char *path, struct buf *out, struct errbuf *eb)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0) {
		enum err e = err_of_errno(errno);
		return errbuf_set(eb, e, "%s: %s", path, err_why(e));
	}
	ssize_t n = 1;
	while (n > 0 && buf_reserve(out, READ_STEP)) {
		n = read(fd, out->data + out->len, READ_STEP);
		out->len += n > 0 ? (size_t)n : 0;
	}
	enum err e = n < 0 ? err_of_errno(errno) : 0;
	close(fd);
	if (e)
		return errbuf_set(eb, e, "%s: %s", path, err_why(e));
	if (out->over)
		return errbuf_set(
		    eb, ERR_TOOBIG, "%s: more than %u bytes", path, (unsigned)RESOLVECONF_BYTES);
	return 0;
}

/* A NUL in a file ends its line. */
static void each_line(
    struct buf *b, struct resolve_conf *c, void (*take)(struct resolve_conf *c, char *line))
{
	buf_add_u8(b, '\n');
	char *s = (char *)b->data, *end = s + b->len;
	while (s < end) {
		char *lf = memchr(s, '\n', (size_t)(end - s));
		*lf = 0;
		take(c, s);
		s = lf + 1;
	}
}

static enum err load(struct resolve_conf *c, const char *path,
    void (*take)(struct resolve_conf *c, char *line), struct errbuf *eb)
{
	struct buf b;
	buf_init(&b);
	b.limit = RESOLVECONF_BYTES;
	enum err e = read_file(path, &b, eb);
	if (!e)
		each_line(&b, c, take);
	buf_release(&b);
	return e;
}

enum err resolveconf_load(
    const char *resolv_path, const char *hosts_path, struct resolve_conf **out, struct errbuf *eb)
{
	struct resolve_conf *c = mem_zalloc(sizeof *c);
	c->ndots = NDOTS_USUAL;
	c->attempts = ATTEMPTS_USUAL;
	c->timeout_ms = TIMEOUT_USUAL * 1000;
	enum err e = load(c, resolv_path ? resolv_path : "/etc/resolv.conf", take_resolv_line, eb);
	if (!e)
		e = load(c, hosts_path ? hosts_path : "/etc/hosts", take_host_line, eb);
	if (e) {
		resolveconf_free(c);
		return e;
	}
	if (!c->server_count)
		take_server(c, "127.0.0.1");
	if (c->_host_count)
		qsort(c->_hosts, c->_host_count, sizeof *c->_hosts, host_order);
	*out = c;
	return 0;
}

void resolveconf_free(struct resolve_conf *c)
{
	if (!c)
		return;
	drop_domains(c);
	for (size_t i = 0; i < c->_host_count; i++)
		mem_free(c->_hosts[i].name);
	mem_free(c->_hosts);
	mem_free(c);
}

#include "net/daemon/identity.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "net/client/hclient.h"
#include "net/client/resolveconf.h"
#include "net/client/tlscli.h"
#include "net/gate/passwd.h"
#include "storage/store.h"

#define LINE_BYTES 8192

struct identity {
	struct team *team;
	struct porter *porter;
	struct store **stores; /* of each loop; NULL until it is open */
	/* Made with the first set that has issuers. */
	struct hclient *client;
	struct resolve_conf *resolve;
	struct tlscli *tls;
};

/* ---- the book of tenants ---- */

static struct store *store_here(const struct identity *id)
{
	return id->stores[loop_index(loop_here())];
}

static uint32_t book_find(void *arg, const char *name, size_t len)
{
	struct store *st = store_here(arg);
	if (st)
		return store_tenant_find(st, name, len);
	bool usual = len == sizeof TENANT_DEFAULT_NAME - 1 && !memcmp(name, TENANT_DEFAULT_NAME, len);
	return usual ? TENANT_DEFAULT : TENANT_NONE;
}

struct making {
	struct store_tenant_req req;
	const char *name;
	uint32_t tenant;
	void (*done)(void *own, enum err e, const char *text);
	void *own;
};

static void made(struct store_tenant_req *r)
{
	struct making *m = CONTAINER_OF(r, struct making, req);
	m->done(m->own, r->err, r->err ? r->eb.text : "");
	mem_free(m);
}

static void book_make(
    void *arg, const char *name, void (*done)(void *own, enum err e, const char *text), void *own)
{
	struct making *m = mem_zalloc(sizeof *m);
	m->name = name;
	m->done = done;
	m->own = own;
	m->req.names = &m->name;
	m->req.count = 1;
	m->req.ids = &m->tenant;
	m->req.done = made;
	store_tenant_make(store_here(arg), &m->req);
}

/* ---- fetching keys ---- */

struct fetching {
	struct hfetch *fetch;
	void (*done)(void *own, int status, const char *body, size_t len, const char *text);
	void *own;
};

static void fetched(void *own, const struct hclient_end *end)
{
	struct fetching f = *(struct fetching *)own;
	mem_free(own);
	const char *body = end->body ? (const char *)end->body->data : "";
	f.done(f.own, end->head.status, body, end->body ? end->body->len : 0,
	    end->err ? end->text : NULL);
}

static void *fetch_begin(void *arg, const char *url,
    void (*done)(void *own, int status, const char *body, size_t len, const char *text), void *own)
{
	static const struct hclient_field json = { .name = "accept", .value = "application/json" };
	struct identity *id = arg;
	if (!id->client)
		return NULL;
	struct fetching *f = mem_zalloc(sizeof *f);
	f->done = done;
	f->own = own;
	const struct hclient_req req = { .method = "GET",
		.url = url,
		.fields = &json,
		.field_count = 1,
		.whole_ms = ISSUERS_FETCH_MS,
		.answer_max = JWK_SET_BYTES_MAX,
		.own = f,
		.done = fetched };
	f->fetch = hclient_fetch(id->client, &req);
	return f;
}

static void fetch_cancel(void *arg, void *handle)
{
	struct fetching *f = handle;
	(void)arg;
	hclient_cancel(f->fetch);
	mem_free(f);
}

struct making_client {
	struct identity *id;
	struct errbuf *eb;
	enum err err;
};

static void make_client(void *arg)
{
	struct making_client *m = arg;
	struct identity *id = m->id;
	struct hclient_opts o;
	hclient_opts_usual(&o);
	o.resolve = id->resolve;
	o.tls = id->tls;
	o.answer_max = JWK_SET_BYTES_MAX;
	o.retries = 1;
	m->err = hclient_create(team_loop(id->team, 0), &o, &id->client, m->eb);
}

/* Files are read here, on no loop. */
static enum err want_client(struct identity *id, struct errbuf *eb)
{
	static const struct tlscli_conf usual = { .ca_file = NULL };
	struct making_client m = { .id = id, .eb = eb };
	m.err = id->tls ? 0 : tlscli_load(&usual, &id->tls, eb);
	if (!m.err && !id->resolve)
		m.err = resolveconf_load(NULL, NULL, &id->resolve, eb);
	if (!m.err)
		team_run_on(id->team, 0, make_client, &m);
	return m.err;
}

static void end_client(void *arg)
{
	hclient_free(((struct identity *)arg)->client);
}

/* ---- life ---- */

enum err identity_create(
    struct team *team, struct work_pool *pool, struct identity **out, struct errbuf *eb)
{
	struct identity *id = mem_zalloc(sizeof *id);
	id->team = team;
	id->stores = mem_zalloc(team_count(team) * sizeof(struct store *));
	const struct porter_opts o = { .team = team,
		.pool = pool,
		.book = { .arg = id, .find = book_find, .make = book_make },
		.fetch = { .arg = id, .begin = fetch_begin, .cancel = fetch_cancel } };
	enum err e = porter_create(&o, &id->porter);
	if (e) {
		mem_free(id->stores);
		mem_free(id);
		return errbuf_set(eb, e, "no memory for identities");
	}
	*out = id;
	return 0;
}

void identity_prepare(struct identity *id, const struct ident_set *set)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (!set || !ident_count(set, IDENT_OIDC) || id->client || !want_client(id, &eb))
		return;
	LOG_ERROR("issuers_cannot_be_asked",
	    "text=\"%s\" remedy=\"the next reload of the configuration tries again\"", eb.text);
}

void identity_use_here(struct identity *id, const struct ident_set *set)
{
	porter_use_here(id->porter, set);
}

void identity_use(struct identity *id, const struct ident_set *set)
{
	identity_prepare(id, set);
	porter_use(id->porter, set);
}

struct step {
	struct identity *id;
	struct store *store;
};

static void set_store(void *arg)
{
	struct step *s = arg;
	s->id->stores[loop_index(loop_here())] = s->store;
}

void identity_store(struct identity *id, struct store *st)
{
	struct step s = { id, st };
	for (unsigned i = 0; i < team_count(id->team); i++)
		team_run_on(id->team, i, set_store, &s);
}

void identity_free(struct identity *id)
{
	if (!id)
		return;
	porter_free(id->porter);
	if (id->client)
		team_run_on(id->team, 0, end_client, id);
	tlscli_free(id->tls);
	resolveconf_free(id->resolve);
	mem_free(id->stores);
	mem_free(id);
}

/* ---- hashes for the configuration ---- */

/* A line without its end; false: there is none, or it is too long. Not shown while it is typed. */
static bool read_line(const char *what, char *line, size_t size, size_t *len)
{
	struct termios was, quiet;
	bool terminal = !tcgetattr(STDIN_FILENO, &was);
	if (terminal) {
		quiet = was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
		fprintf(stderr, "%s: ", what);
	}
	bool fine = fgets(line, (int)size, stdin) != NULL;
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
		fputc('\n', stderr);
	}
	*len = fine ? strcspn(line, "\r\n") : 0;
	return fine && *len + 1 < size;
}

static int refuse(const char *what, size_t least, size_t most)
{
	fprintf(
	    stderr, "kymod: one line on stdin: a %s of %zu to %zu characters\n", what, least, most);
	return 2;
}

int identity_hash_token(void)
{
	char line[LINE_BYTES], text[IDENT_TOKEN_TEXT_BYTES];
	size_t len;
	if (!read_line("token", line, sizeof line, &len) || len < IDENT_TOKEN_LEAST ||
	    len > IDENT_TOKEN_MOST)
		return refuse("token", IDENT_TOKEN_LEAST, IDENT_TOKEN_MOST);
	if (!ident_token_chars_fine(line, len)) {
		sodium_memzero(line, sizeof line);
		fprintf(stderr,
		    "kymod: the token has blanks or other characters that no header can carry\n");
		return 2;
	}
	ident_token_text(line, len, text);
	sodium_memzero(line, sizeof line);
	puts(text);
	return 0;
}

int identity_hash_password(void)
{
	char line[LINE_BYTES], text[PASSWD_HASH_BYTES];
	size_t len;
	if (!read_line("password", line, sizeof line, &len) || !len || len > IDENT_PASSWORD_MOST)
		return refuse("password", 1, IDENT_PASSWORD_MOST);
	enum err e = passwd_make(line, len, text);
	sodium_memzero(line, sizeof line);
	if (e) {
		fprintf(stderr, "kymod: no memory to hash a password\n");
		return 1;
	}
	puts(text);
	return 0;
}

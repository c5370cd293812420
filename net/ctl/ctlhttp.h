/*
 * ctlhttp - requests of kymoctl to a server, on net/client/hclient: one after another and waited
 * for, or many at once.
 *
 * A server is its base: "http://host:9470" ("host:9470" is the same), with a path in front of the
 * API where a proxy has one ("https://metrics.example/prom"), with user:password@. Paths of calls
 * begin with "/".
 *
 * Thread: the main thread, whose loop (core/rt/solo.h) turns below ctlhttp_json, _wait and _turn;
 * several servers share it: callbacks of all of them come below those calls for any of them.
 * A signal that stops the program (ctl_stopped, caught before ctlhttp_open) ends what is waited for
 * with ERR_CANCELED, at once.
 */
#ifndef NET_CTL_CTLHTTP_H
#define NET_CTL_CTLHTTP_H

#include <jansson.h>

#include "core/base/buf.h"
#include "net/client/hclient.h"
#include "net/ctl/ctl.h"

#define CTLHTTP_SERVER  "http://127.0.0.1:9470" /* unless $KYMO_SERVER says otherwise */
#define CTLHTTP_HEADERS 32u
/* How to get in: what flags say. Zeroed; with NULL for what was not said. */
struct ctlhttp_access {
	const char *server, *ca, *cert, *key, *token_file, *user, *password_file, *tenant, *timeout;
	bool insecure;
	const char *headers[CTLHTTP_HEADERS]; /* "name: value" */
	size_t headers_count;
	const char *flag; /* how the user names the server, for messages; NULL: "--server" */
};
bool ctlhttp_add_header(void *arg, const char *value); /* of struct ctlhttp_access */
/* clang-format off */
/*
 * Rows for cmdline_parse; without the server's own, for commands that name it otherwise; of a
 * second server with a prefix: CTLHTTP_ACCESS_ARGS_OF("from-", a).
 */
#define CTLHTTP_ACCESS_ARGS_OF(p, a)                                                               \
	{ .name = p "ca", .meta = "FILE", .help = "certificates to believe, for https (those of the system)", .text = &(a).ca }, \
	{ .name = p "insecure", .help = "believe any certificate", .flag = &(a).insecure }, \
	{ .name = p "cert", .meta = "FILE", .help = "certificate of ours, with --" p "key", .text = &(a).cert }, \
	{ .name = p "key", .meta = "FILE", .help = "its key", .text = &(a).key }, \
	{ .name = p "token-file", .meta = "FILE", .help = "file with the bearer token of each request", .text = &(a).token_file }, \
	{ .name = p "user", .meta = "NAME", .help = "name for basic authentication", .text = &(a).user }, \
	{ .name = p "password-file", .meta = "FILE", .help = "file with its password", .text = &(a).password_file }, \
	{ .name = p "tenant", .meta = "NAME", .help = "X-Scope-OrgID of each request", .text = &(a).tenant }, \
	{ .name = p "header", .meta = "\"NAME: VALUE\"", .help = "field of each request, may be repeated", .each = ctlhttp_add_header, .arg = &(a) }, \
	{ .name = p "timeout", .meta = "DURATION", .help = "of each request (2m)", .text = &(a).timeout }
#define CTLHTTP_ACCESS_ARGS(a) CTLHTTP_ACCESS_ARGS_OF("", a)
#define CTLHTTP_ARGS(a)                                                                            \
	{ .name = "server", .meta = "URL", .help = "the server, $KYMO_SERVER (" CTLHTTP_SERVER ")", .text = &(a).server }, \
	CTLHTTP_ACCESS_ARGS(a)
/* clang-format on */

struct ctlhttp;
/* What the flags say; a mistake has been told and its exit status is returned, else 0. */
MUST_CHECK int ctlhttp_open(const struct ctlhttp_access *a, struct ctlhttp **out);
void ctlhttp_close(struct ctlhttp *c);               /* NULL is fine */
const char *ctlhttp_server(const struct ctlhttp *c); /* its base, without user and password */
/*
 * The server and who asks it, to know a work by: the same server shows each tenant and user other
 * data. "BASE", with " tenant=NAME", " user=NAME", " token-file=PATH" and fields that were given;
 * no secret is in it.
 */
const char *ctlhttp_who(const struct ctlhttp *c);

/* Parameters: "a=b&c=d", escaped. */
void ctlhttp_param(struct buf *form, const char *name, const char *value);
void ctlhttp_param_len(struct buf *form, const char *name, const char *value, size_t len);

/* A request that is under way; the caller's, zeroed but for what it asks. */
struct ctlhttp_call {
	const char *method, *path; /* path with its query */
	const void *body;          /* the caller's until it ended */
	size_t body_len;
	const char *type; /* of the body; NULL: a form (application/x-www-form-urlencoded) */
	const struct hclient_field *fields; /* more of them */
	size_t fields_count;
	/*
	 * 429, 502, 503, 504 and broken connections: again, until stopped; not once data() has been
	 * given a piece.
	 */
	bool keep_trying;
	bool once;         /* never sent twice, not even when it may be */
	size_t answer_max; /* 0: 1 GiB */
	uint32_t whole_ms; /* 0: that of --timeout */
	bool streams;      /* as long as something comes; --timeout is between pieces then */
	bool plain;        /* the answer is not to be packed */
	/* Pieces of the body of a 2xx as they come; NULL: gathered in answer. */
	void (*data)(void *own, const uint8_t *data, size_t len);
	/* The head of an answer, of each try; NULL: nobody asks. */
	void (*head)(void *own, const struct hclient_head *head);
	/* At the end, on the loop; may begin other calls. May be NULL. */
	void (*done)(struct ctlhttp_call *call);
	void *own;
	/* How it ended. */
	bool ended;
	enum err err; /* 0: an answer came, whatever its status */
	int status;
	char answer_type[128];  /* its Content-Type */
	struct buf answer;      /* ctlhttp_call_release */
	char text[ERRBUF_SIZE]; /* of err, or what an answer over 299 says */
	unsigned repeats;       /* so far, by keep_trying; text says why while it waits */
	int64_t date_ms;        /* what the answer's Date says; 0: nothing */
	struct ctlhttp *_http;
	struct hfetch *_fetch;
	struct loop_timer _again;
	bool _handed;
};
void ctlhttp_begin(struct ctlhttp *c, struct ctlhttp_call *call);
void ctlhttp_turn(struct ctlhttp *c);                            /* one turn: at most a second */
void ctlhttp_look(struct ctlhttp *c);                            /* the same without a wait */
void ctlhttp_wait(struct ctlhttp *c, struct ctlhttp_call *call); /* until it ended */
void ctlhttp_cancel(struct ctlhttp_call *call);
/* No data() until it is called with false: the server waits. May be called below data(). */
void ctlhttp_pause(struct ctlhttp_call *call, bool pause);
void ctlhttp_call_release(struct ctlhttp_call *call); /* its answer */
/* 0 when a 2xx came; else it has been told on stderr, and this is the exit status. */
MUST_CHECK int ctlhttp_outcome(const struct ctlhttp_call *call);
/*
 * Does an answer that is no 2xx say that too much was asked for at once? All servers have words,
 * and most a status, of their own for it; a cluster's stand far behind the names of its parts.
 */
bool ctlhttp_says_too_much(const struct ctlhttp_call *call);

/*
 * The parts of ctlhttp_json, for who makes something of errors: call (zeroed but for its deadline)
 * has how it ended, *answer the whole answer of any status, NULL when it is no JSON. Both are the
 * caller's: ctlhttp_call_release, json_decref. ctlhttp_tell tells its warnings and infos.
 */
void ctlhttp_call_json(struct ctlhttp *c, const char *method, const char *path,
    const struct buf *form, struct ctlhttp_call *call, json_t **answer);
void ctlhttp_tell(const json_t *answer);
/* Is data a list (JSON_ARRAY), or an object; or null, as Go has it for none? Else it was told. */
MUST_CHECK int ctlhttp_shape(const struct ctlhttp *c, const json_t *data, json_type type);
/*
 * A call of the API with JSON: form (may be NULL) goes as POST, or as GET's query without one.
 * 0: *data is the answer's "data" (json_decref; NULL when there is none), its warnings and infos
 * have been told. Else it has been told, and this is the exit status.
 */
MUST_CHECK int ctlhttp_json(
    struct ctlhttp *c, const char *method, const char *path, const struct buf *form, json_t **data);

#endif

/*
 * checks - slow checks of who asks, done by workers: passwords (tens of milliseconds each) and
 * signatures of tokens (some tens of microseconds).
 *
 *   checks_ask > kept answer | joins one that runs | waits > worker > home(check)
 *
 * One loop keeps them, so that every bound is exact and holds for the whole process:
 * (1) CHECKS_PASSWORDS_AT_ONCE passwords at a time, as many signatures; the other workers are
 *     always there for those who read.
 * (2) An address has so many checks under way at most, all addresses together so many; who comes
 *     then is told to come back, or the youngest of the address that waits most makes room for one
 *     that waits less. The same check asked for twice is done once, and counts once.
 * (3) Answers about passwords are kept, the right and the wrong ones: a client that repeats what
 *     it sent costs no second hash, also after a reload that leaves the user's hash as it is. What
 *     is kept is a hash, under a key of this process, of all that the answer hangs on.
 * (4) The secret is wiped before the check goes home.
 *
 * Thread: checks_ask any loop; the rest the main thread, or as it says.
 * Memory: a check is the asker's until checks_ask, and again from home() on.
 */
#ifndef NET_GATE_CHECKS_H
#define NET_GATE_CHECKS_H

#include "core/rt/team.h"
#include "core/rt/work.h"
#include "net/gate/issuers.h"
#include "net/gate/passwd.h"

#define CHECKS_PASSWORDS_AT_ONCE  2u
#define CHECKS_PASSWORDS_ADDRESS  8u
#define CHECKS_PASSWORDS_ALL      64u
#define CHECKS_SIGNATURES_AT_ONCE 2u
#define CHECKS_SIGNATURES_ADDRESS 32u
#define CHECKS_SIGNATURES_ALL     256u
#define CHECKS_KEY_BYTES          32u

enum check_kind {
	CHECK_PASSWORD,
	CHECK_SIGNATURE,
	CHECK_KINDS
};
enum check_verdict {
	CHECK_RIGHT,
	CHECK_WRONG,
	CHECK_CROWDED_ADDRESS, /* (2) */
	CHECK_CROWDED,
	CHECK_NO_KEYS /* the issuer's keys are not here, and it cannot be asked just now */
};
struct check {
	enum check_kind kind;
	uint32_t who;    /* of struct req */
	uint64_t serial; /* of the set that is asked */
	/* What it is about: equal keys are equal checks. See checks_key. */
	uint8_t key[CHECKS_KEY_BYTES];
	char *secret; /* password or token, from mem_alloc */
	size_t secret_len;
	/* CHECK_PASSWORD: the hash; whose it is, of the set's users; it is only a decoy */
	char hash[PASSWD_HASH_BYTES];
	size_t user;
	bool nobody;
	void (*home)(struct check *c); /* on the loop that asked */
	void *own;

	enum check_verdict verdict;
	enum jwt_fault fault;  /* of a wrong token */
	char text[128];        /* why it is wrong */
	struct bearer *bearer; /* of a right token; whoever takes it sets NULL */
	uint64_t version;      /* of the keys it was checked with */

	struct checks *_of;
	struct loop *_from;
	struct mbox_msg _msg;
	struct work_task _task;
	struct list_link _link, _twins; /* in a queue, or in the twins of another */
	struct issuer_book *_book;
	size_t _issuer;
	uint64_t _asked_ns, _mark;
	int64_t _now_ms;
};

struct checks;
/* The keeper is loop 0. fetch.begin may be NULL: no issuer can be reached. */
MUST_CHECK enum err checks_create(struct team *team, struct work_pool *pool,
    const struct issuers_fetch *fetch, struct checks **out);
/* On loop 0. */
void checks_use(struct checks *cs, const struct ident_set *set);
void checks_ask(struct checks *cs, struct check *c);
/* Of the issuers' keys: when it is another one, tokens that were right have to be checked again. */
uint64_t checks_version(const struct checks *cs);
/* On loop 0, when nothing is under way any more: what fetches is ended. */
void checks_close(struct checks *cs);
void checks_free(struct checks *cs);

/* Zeroed, with a copy of the secret. check_free takes all that is left. */
struct check *check_make(enum check_kind kind, const char *secret, size_t len);
void check_free(struct check *c);
/*
 * The key of (about, name, secret) under a key of this process. about: what else the answer hangs
 * on: the hash of a password and whether it is a decoy; the set that has the issuers.
 */
void checks_key(const struct checks *cs, const void *about, size_t about_len, const char *name,
    size_t name_len, const char *secret, size_t len, uint8_t out[CHECKS_KEY_BYTES]);

#endif

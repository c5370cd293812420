#include "net/gate/denials.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/metric.h"
#include "core/base/rune.h"

/* clang-format off */
static const struct row {
	const char *reason;
	enum metric_id id;
	const char *remedy;
} rows[DENIALS] = {
	[DENIED_MISSING] = { "missing", M_AUTH_REFUSED_MISSING,
		"give the client a token (authorization.credentials_file) or a user (basic_auth), or allow anonymous in the identities" },
	[DENIED_SCHEME] = { "scheme", M_AUTH_REFUSED_SCHEME,
		"Authorization has to be \"Bearer <token>\" or \"Basic <base64 of user:password>\", once" },
	[DENIED_TOKEN] = { "token", M_AUTH_REFUSED_TOKEN,
		"its hash (kymod --hash-token) stands in no token of the identities" },
	[DENIED_PASSWORD] = { "password", M_AUTH_REFUSED_PASSWORD,
		"look at user and password of the client; identity is empty when there is no such user" },
	[DENIED_CERTIFICATE] = { "certificate", M_AUTH_REFUSED_CERTIFICATE,
		"its subject, names and fingerprint stand in no certificate of the identities" },
	[DENIED_JWT_FORM] = { "jwt_form", M_AUTH_REFUSED_JWT_FORM,
		"it is no token of an issuer: RS, PS, ES or EdDSA in the compact form" },
	[DENIED_JWT_KEY] = { "jwt_key", M_AUTH_REFUSED_JWT_KEY,
		"the issuer's key set has no key of this name: is the token of this issuer, and are its keys published?" },
	[DENIED_JWT_SIGNATURE] = { "jwt_signature", M_AUTH_REFUSED_JWT_SIGNATURE,
		"somebody changed the token, or made it up" },
	[DENIED_JWT_TIME] = { "jwt_time", M_AUTH_REFUSED_JWT_TIME,
		"look at the clocks of issuer and server, and at how often the client renews its token" },
	[DENIED_JWT_CLAIMS] = { "jwt_claims", M_AUTH_REFUSED_JWT_CLAIMS,
		"iss and aud of the token have to be issuer and audience of the identities, letter by letter" },
	[DENIED_ROLE] = { "role", M_AUTH_REFUSED_ROLE,
		"add the role to the identity, or use another one" },
	[DENIED_TENANT] = { "tenant", M_AUTH_REFUSED_TENANT,
		"name a tenant that stands in the identity, or none; to write for others it has to be trusted" },
	[DENIED_CROWDED] = { "crowded", M_AUTH_REFUSED_CROWDED,
		"too many passwords or signatures are being checked: is somebody guessing?" },
	[DENIED_NO_KEYS] = { "no_keys", M_AUTH_REFUSED_NO_KEYS,
		"the issuer does not answer: see keys_not_fetched in the log" },
	[DENIED_TENANT_MAKE] = { "tenant_make", M_AUTH_REFUSED_TENANT_MAKE,
		"a tenant that is new here could not be written down" },
};
/* clang-format on */

static void say(const struct denials_line *l, enum denial what, uint64_t news)
{
	LOG_WARN("denied",
	    "reason=%s requests=%" PRIu64 " from=%s identity=\"%s\" example=\"%s\" remedy=\"%s\"",
	    rows[what].reason, news, l->from[0] ? l->from : "-", l->identity, l->example,
	    rows[what].remedy);
}

static void go_on(struct loop_timer *t)
{
	struct denials_line *l = CONTAINER_OF(t, struct denials_line, timer);
	enum denial what = (enum denial)(l - l->of->lines);
	uint64_t news;
	if (!log_pace_next(&l->of->paces[what], metric_sum(rows[what].id), &news))
		return;
	say(l, what, news);
	loop_timer_set(l->of->loop, t, DENIALS_EVERY_MS);
}

void denials_begin(struct denials *l, struct loop *loop, struct log_pace *paces)
{
	memset(l, 0, sizeof *l);
	l->loop = loop;
	l->paces = paces;
	for (unsigned i = 0; i < DENIALS; i++) {
		l->lines[i].of = l;
		loop_timer_init(&l->lines[i].timer, go_on);
	}
}

void denials_tell(struct denials *l, enum denial what, const struct req *r, const char *identity,
    const char *example)
{
	struct denials_line *line = &l->lines[what];
	uint64_t news;
	metric_add(rows[what].id, 1);
	req_remote_text(r, line->from, sizeof line->from);
	rune_printf(line->identity, sizeof line->identity, "%s", identity);
	rune_printf(line->example, sizeof line->example, "%s", example);
	if (!log_pace_first(&l->paces[what], metric_sum(rows[what].id), &news))
		return;
	say(line, what, news);
	loop_timer_set(l->loop, &line->timer, DENIALS_EVERY_MS);
}

void denials_end(struct denials *l)
{
	for (unsigned i = 0; i < DENIALS; i++) {
		struct denials_line *line = &l->lines[i];
		if (!loop_timer_is_set(&line->timer))
			continue;
		loop_timer_cancel(l->loop, &line->timer);
		go_on(&line->timer);
		loop_timer_cancel(l->loop, &line->timer);
	}
}

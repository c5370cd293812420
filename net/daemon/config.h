/*
 * config - what the server is told: the configuration file, the command line over it, the defaults
 * under it, in one snapshot that never changes.
 *
 *   config_load (main, or a worker) > errors, all of them | a snapshot > loops (config_use_)
 *
 * A section of the file is a table of rows (core/base/yaml.h) in net/daemon/config_<section>.c,
 * written by who owns the room that uses it; what it fills is a part of struct config:
 *   config_server.c   every flag of the command line as a key (flags_table.c): storage, query, ...
 *   config_listen.c   listeners: addresses and what is offered there
 *   config_ident.c    identities: who may come in
 *   config_tenants.c  tenants: the limits of each
 *   config_receivers.c  receivers: by which protocols samples may come
 *   config_inlet.c    of both: rules of relabelling, external labels, pairs of senders
 * Each section has its rows, what makes use of them once the whole file is read (config_x_make),
 * and what frees that (config_x_free).
 *
 * Without a file the sections have their defaults: one tenant, open, plain HTTP.
 * Thread: load blocks: main or a worker; the snapshot is read by any, freed by whoever has it last.
 */
#ifndef NET_DAEMON_CONFIG_H
#define NET_DAEMON_CONFIG_H

#include "core/base/yaml.h"
#include "core/model/cardrule.h"
#include "core/model/tenant.h"
#include "core/rt/snap.h"
#include "core/rt/work.h"
#include "net/api/api.h"
#include "net/conn/listen.h"
#include "net/daemon/flags.h"
#include "net/daemon/webconfig.h"
#include "net/daemon/weburl.h"
#include "net/gate/ident.h"
#include "net/recv/inletconf.h"

/* listeners: see config_listen.c. */
struct config_tls {
	struct tls_pair first;
	struct yaml_items more; /* of struct tls_pair: other hosts */
	const char *client_ca_file;
	unsigned client; /* of client_auth */
	struct yaml_texts client_sans;
	unsigned least;
	bool no_http2;
};
struct config_listener {
	const char *address;
	bool admin;
	struct config_tls tls; /* first.cert_file NULL: plain */
	struct yaml_texts proxy_protocol_from;
};
/* Rules and labels of what is received, at several places: see config_inlet.c. */
struct config_labels {
	struct label *labels; /* NULL: not said */
	size_t count;
};
struct config_relabel {
	struct yaml_items rules; /* of struct relabel_rule */
	struct config_labels external;
	bool external_wins;
	bool rules_said; /* of a tenant: its own list, be it empty */
};
struct config_ha {
	bool said;
	struct hapair_rule rule;
};
/* tenants.NAME: see config_tenants.c. */
struct config_tenant {
	const char *name;
	struct config_relabel relabel;
	struct config_ha ha;
	uint64_t own; /* bit of each limit that is said */
	struct tenant_limits limits;
	struct yaml_items cardinality; /* of struct card_rule */
	bool card_own;                 /* it is said */
	struct card_rules *card;       /* as made; NULL: none */
};
/* identities: see config_ident.c. */
struct config_identities {
	struct yaml_items tokens, users, certs, issuers; /* of struct ident_token and so on */
	bool open;                                       /* anonymous is said */
	struct ident_grant anonymous;
};

struct config {
	struct snap snap;
	struct yaml_keep keep; /* texts and lists of the file */
	const char *path;      /* NULL: no file; of the command line */
	/* File and command line, settled: in force, and as said (0 for later defaults). */
	struct flags flags, said;

	/* As read. */
	struct yaml_items listeners; /* of struct config_listener; --listen may replace it */
	struct config_identities identities;
	struct config_tenant tenant_defaults;
	struct yaml_items tenant_rows; /* of struct config_tenant */
	struct recv_conf recv;
	struct config_relabel relabel, relabel_of[RECEIVERS]; /* of all receivers, of each */
	uint64_t relabel_cache;

	/* As made. */
	struct relabel **lists; /* of recv.inlet */
	size_t lists_count;
	struct listen_conf *listen; /* of the addresses that it names itself; as long as this */
	unsigned listen_count;      /* of them; flags.listen are those in force */
	struct cidr_set trusted_proxies;
	struct webconfig *webconfig; /* NULL: no such file */
	struct weburl web;
	struct ident_set *idents; /* NULL: everybody may do everything */
	struct tenants *tenants;  /* NULL: none is named, and the defaults are the usual ones */
	struct api_conf api;      /* by config_settle */
	uint64_t hash;            /* of the bytes of the file */
	int64_t loaded_ms;        /* wall clock */

	struct work_pool *pool; /* that frees it when a loop has it last; NULL: whoever has */
	struct work_task _end;
	struct buf _shown;
};
/*
 * The file that the command line names, or none. ERR_BADDATA: told holds all that is wrong, a line
 * or more each. The command line has been checked before.
 */
MUST_CHECK enum err config_load(int argc, char **argv, struct config **out, struct buf *told);
/* The same of this file, without its being used: for --check-config. */
MUST_CHECK enum err config_load_file(
    const char *path, int argc, char **argv, struct config **out, struct buf *told);
/* A configuration with every key, its meaning and its default; config_load reads it. */
void config_print(struct buf *out);
/* fn, once, with the rows of the file and their defaults. */
void config_usual(void (*fn)(void *arg, const struct yaml_schema *s, const void *values), void *arg);
/* What is in force, as a file, without secrets. */
void config_show(const struct config *c, struct buf *out);
/*
 * The last touch, before anybody shares it: what 0 stands for in limits, and what the API has of
 * it. loops: of the team.
 */
void config_settle(struct config *c, unsigned loops);
/*
 * Of a reload: keys that hold from start to end keep the value of now, and a warning names those
 * that next would change. Settles it.
 */
void config_follow(struct config *next, const struct config *now);
void config_drop(struct config *c); /* NULL is fine */

/* ---- sections ---- */

/* Rows of the whole file; in a. */
const struct yaml_schema *config_schema(struct arena *a);
/* Adds to rows, which has room for flags_count more. */
void config_server_rows(struct arena *a, struct yaml_row *rows, size_t *count);
extern const struct yaml_schema config_listener_schema;
extern const struct yaml_schema config_ident_schema;     /* of struct config_identities */
extern const struct yaml_schema config_tenants_schema;   /* of struct config, at its start */
extern const struct yaml_schema config_receivers_schema; /* so, too */
/* set and show of a row of kind OWN whose key is a switch that the struct has as its opposite. */
bool config_set_not(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at);
bool config_show_not(struct buf *out, const struct yaml_row *row, const void *at);
/* False when they have told what is wrong. */
bool config_ident_make(struct config *c, struct yaml *y);
bool config_tenants_make(struct config *c, struct yaml *y);
void config_tenants_free(struct config *c);
bool config_receivers_make(struct config *c, struct yaml *y); /* reads files that it names */
/* Behind it: what samples go by on their way in. */
bool config_inlet_make(struct config *c, struct yaml *y);
void config_inlet_free(struct config *c);
#define CONFIG_RELABEL_CACHE (UINT64_C(128) << 20)
/* Rows of a struct config_relabel at `off`. */
bool config_set_labels(
    struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at);
bool config_show_labels(struct buf *out, const struct yaml_row *row, const void *at);
#define CONFIG_RELABEL_ROWS(off_)                                                                  \
 { .key = "relabel_configs",                                                                       \
	 .kind = YAML_ITEMS,                                                                       \
	 .off = (off_) + offsetof(struct config_relabel, rules),                                   \
	 .sub = &relabel_schema,                                                                   \
	 .help =                                                                                   \
	     "rules that change labels or drop series, as metric_relabel_configs of Prometheus" }, \
     { .key = "external_labels",                                                                   \
	     .kind = YAML_OWN,                                                                     \
	     .off = (off_) + offsetof(struct config_relabel, external),                            \
	     .set = config_set_labels,                                                             \
	     .show = config_show_labels,                                                           \
	     .shape = "{NAME: TEXT, ...}",                                                         \
	     .help = "labels that every series gets, before rules are applied" },                  \
 {                                                                                                 \
  .key = "external_labels_win", .kind = YAML_BOOL,                                                 \
  .off = (off_) + offsetof(struct config_relabel, external_wins),                                  \
  .help = "they replace a label of their name that came; else that one stays [false]"              \
 }
extern const struct yaml_schema config_ha_schema; /* of struct config_ha */
bool config_show_ha(struct buf *out, const struct yaml_row *row, const void *at);
/* Behind flags_settle: what is offered at each address. False: told says what is wrong. */
bool config_listen_make(struct config *c, struct buf *told);
/* Behind it: users of --web.config.file come on top of those of the file. */
bool config_ident_web(struct config *c, struct buf *told);
/* Behind it: the set has hashes, tokens and passwords of files are wiped. */
void config_ident_forget(struct config *c);
void config_listen_free(struct config *c);
unsigned config_front(const struct config *c); /* the first address that is not of administration */
/* Are the files of TLS what they should be? Reads them. */
bool config_listen_check(const struct config *c, struct buf *told);

#endif

/*
 * yaml - configuration files: a text read into a small checked tree, and the tree walked by tables
 * of rows, so that all mistakes are told at once, each with its place.
 *
 *   yaml_open (the tree) > yaml_walk (a struct from the tree, by a schema) > yaml_failed,
 *   yaml_tell > yaml_close
 *
 * A mistake is told as
 *   kymod.yml:3:14: query.max_samples: "5x" is not a whole number
 *     max_samples: 5x
 *                  ^
 * and unknown keys and words name the nearest known one. At most YAML_ERRORS_MAX are told in full,
 * in the order of the text; the others are counted.
 *
 * What is read is YAML 1.1 (libyaml, as in Prometheus) without what a configuration needs not: one
 * document;
 * no anchors, aliases, merge keys and tags (so nothing grows while it is read); keys are plain
 * texts, each once; YAML_DEPTH_MAX levels, YAML_TEXT_MAX bytes, YAML_NODES_MAX values. A value that
 * is left out (key with nothing behind it) is an empty map or list, and a mistake for anything
 * else. true and false (True, TRUE, ...) are the only switches.
 *
 * Memory: what yaml_walk hands out lives in the struct yaml_keep; nodes and errors in the yaml.
 * Thread: one at a time; reads files of secrets, so never on a loop.
 * Errors: of the text are collected, never returned; those of the system are told as one of them.
 */
#ifndef CORE_BASE_YAML_H
#define CORE_BASE_YAML_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/secret.h"

#define YAML_TEXT_MAX   (16u << 20)
#define YAML_NODES_MAX  500000u
#define YAML_DEPTH_MAX  12u
#define YAML_ERRORS_MAX 20u

/* ---- the tree ---- */

enum yaml_type {
	YAML_NULL, /* nothing, ~, null: unquoted */
	YAML_SCALAR,
	YAML_LIST,
	YAML_MAP
};
struct yaml_node {
	enum yaml_type type;
	bool quoted;           /* a scalar in quotes, or a block of text */
	uint32_t at, key_at;   /* where it, and its key, begin: bytes from the start of the text */
	const char *key;       /* of a value in a map; NULL of others */
	uint32_t key_len, len; /* of key, of text */
	uint32_t count;        /* children, without repeated keys */
	const char *text;      /* of a scalar, NUL behind it */
	struct yaml_node *parent, *first, *next;
	bool bad; /* an error has been told of it: a walk is silent about it */
	bool _repeated;
};

/* What the values of a walk live in. */
struct yaml_keep {
	struct arena arena;
	struct secret **secrets;
	size_t secrets_count;
	const char **paths; /* of all files that were named */
	size_t paths_count;
};
void yaml_keep_init(struct yaml_keep *k);
void yaml_keep_release(struct yaml_keep *k); /* secrets are wiped */

struct yaml;
/*
 * name: of the file, for the errors; its folder is where relative paths begin. text: borrowed until
 * yaml_close. Without errors, or with: there always is a yaml, and a root, which is a map.
 */
struct yaml *yaml_open(const char *name, const char *text, size_t len, struct yaml_keep *keep);
/* Reads the file first; it is at most YAML_TEXT_MAX long. Blocks. */
struct yaml *yaml_load(const char *path, struct yaml_keep *keep);
void yaml_close(struct yaml *y);
const struct yaml_node *yaml_root(const struct yaml *y);
struct yaml_keep *yaml_keep_of(struct yaml *y);
const char *yaml_text(const struct yaml *y, size_t *len);                         /* of the file */
const struct yaml_node *yaml_child(const struct yaml_node *map, const char *key); /* or NULL */

/* ---- errors ---- */

/*
 * One more: "<path of n>: <sentence>", at n's place. n NULL: of the file as a whole. Secrets are
 * never part of a sentence. Always false.
 */
bool yaml_fail(struct yaml *y, const struct yaml_node *n, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same at n's key. */
bool yaml_fail_key(struct yaml *y, const struct yaml_node *n, const char *fmt, ...) PRINTF_LIKE(3, 4);
size_t yaml_failed(const struct yaml *y); /* how many in all */
/* Was one told of this value, or below it? True when there are too many to know. NULL: false. */
bool yaml_failed_in(const struct yaml *y, const struct yaml_node *n);
void yaml_tell(struct yaml *y, struct buf *out);
/* Line and column (in characters) of a place, both from 1. */
void yaml_place(const struct yaml *y, uint32_t at, unsigned *line, unsigned *column);

/* ---- the walk ---- */

enum yaml_kind {
	YAML_TEXT,     /* const char *, not empty */
	YAML_PATH,     /* const char *: of a file, relative to the folder of the configuration */
	YAML_BOOL,     /* bool */
	YAML_COUNT,    /* uint64_t */
	YAML_UNSIGNED, /* unsigned */
	YAML_BYTES,    /* uint64_t: 1048576, 64MiB */
	YAML_DURATION, /* uint64_t or int64_t, milliseconds: 15s, 1h30m, 30d */
	YAML_WORD,     /* an enum or unsigned: the index in words */
	YAML_WORDS,    /* unsigned: a bit for each word of a list, bit i for words[i] */
	YAML_TEXTS,    /* struct yaml_texts: a list; a single text is a list of one */
	YAML_IN,       /* a struct of its own at off, by sub: a map */
	YAML_ITEMS,    /* struct yaml_items of sub's size: a list of maps */
	YAML_NAMED,    /* the same: a map of maps; the name goes to sub->name_off */
	YAML_OTHERS,   /* the same, of all keys of this map that no row names; key: "<name>" */
	YAML_SECRET,   /* struct secret *: read from the file that is named */
	YAML_OWN       /* whatever set makes of it */
};
struct yaml_texts {
	const char *const *texts;
	size_t count;
};
struct yaml_items {
	void *items;
	size_t count;
};
#define YAML_NEEDED 1u /* the key must be there */
#define YAML_START  2u /* holds at start only: a reload that changes it warns */
#define YAML_LATER  4u /* 0 may be given for the default that is found later */
#define YAML_HIDDEN 8u /* its value is shown as <secret> */

struct yaml_schema;
struct yaml_row {
	const char *key; /* lower case, words joined by _ */
	enum yaml_kind kind;
	size_t off;               /* in the struct of the schema */
	const char *help;         /* one sentence without a full stop, the default in brackets */
	uint64_t least, most;     /* of numbers; 0, 0: any. Of TEXT, PATH: bytes */
	const char *const *words; /* of WORD and WORDS, NULL behind the last */
	const struct yaml_schema *sub;
	unsigned flags;
	/* After the value is set (OWN: sets it): false when it has told an error. Optional. */
	bool (*set)(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at);
	const char *shape; /* for the reference, instead of the kind's: "HOST:PORT" */
	/*
	 * Of OWN: the value as a file has it; false: unset. Without it the row is not shown. Of IN
	 * where the key alone means something: is it set? out is NULL.
	 */
	bool (*show)(struct buf *out, const struct yaml_row *row, const void *at);
};
struct yaml_schema {
	const struct yaml_row *rows;
	size_t count;
	size_t size;     /* of the struct: of ITEMS, NAMED and OTHERS */
	size_t name_off; /* const char *: of NAMED and OTHERS */
	bool (*name_ok)(struct yaml *y, const struct yaml_node *n); /* may the name be? Optional */
	void (*usual)(void *item); /* the defaults of an item; NULL: all zero */
	/* When the map is read: whatever several keys say together. Optional. */
	bool (*check)(struct yaml *y, const struct yaml_node *n, void *item);
};
/*
 * Values go into *out, which holds the defaults; what has an error keeps its default. False when an
 * error was told.
 */
bool yaml_walk(struct yaml *y, const struct yaml_node *map, const struct yaml_schema *s, void *out);
/* One value, by one row. */
bool yaml_set(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at);
/*
 * What values hold, as a file that yaml_walk would read: what is unset (no text, no list, 0 for a
 * default that is found later) is left out, and so are secrets (SECRET_SHOW stands for them).
 */
void yaml_show(struct buf *out, const struct yaml_schema *s, const void *values);
/*
 * The same with the meaning of each row before it as a comment; what is unset stands there as a
 * comment, too, and for lists and names one item of which all is unset.
 */
void yaml_show_help(struct buf *out, const struct yaml_schema *s, const void *values);
/* "DURATION", "N", "a|b|c": what may stand behind a key; out at least 256 bytes. */
const char *yaml_shape(const struct yaml_row *row, char *out);
/* The value of a row that is one line; false: unset, nothing is written. */
bool yaml_put_value(struct buf *out, const struct yaml_row *row, const void *at);
/* A text as a value: in quotes where it needs them. */
void yaml_put_text(struct buf *out, const char *s);
/* "15s", "64MiB", "1000": a number as the kind writes it; out at least 32 bytes. */
size_t yaml_number(enum yaml_kind kind, uint64_t v, char *out);
/* ERR_MALFORMED: not a size. Units: KiB, MiB, GiB, TiB; KB and so on are powers of two, too. */
MUST_CHECK enum err yaml_parse_bytes(const char *s, size_t len, uint64_t *out);

#endif

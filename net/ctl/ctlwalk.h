/*
 * ctlwalk - a server's data as a row of pieces that one asks for after another: windows of time, in
 * each the selectors, of each the names in groups, in order. What a window has for names is asked
 * for when it begins.
 *
 *   ctlwalk_open > ctlwalk_next (a piece) > ... read it ... > ctlwalk_done, or ctlwalk_again
 *                                ^------------------------------------------'
 *
 * Groups grow while their pieces have few samples, and shrink when they have many, or the server
 * says that they are too much; a single name's window is halved then, down to a minute.
 * A place to go on from is the window's start, the selector and the last name that is done: names
 * that are new are met wherever they stand in order. Windows in which the server has no names cost
 * a request; 30 days of them at once.
 *
 * A list of names may be cut without a word: where a range is longer than max_labels_query_length
 * of its tenant, Mimir moves its start (clampToMaxLabelQueryLength). Queries that are too long are
 * refused aloud. So where a list says that there are none, the server is asked to count samples,
 * by parts where that is too much for it; and with names_ms no list is of a longer range, or of one
 * in which names were seen to be missing.
 *
 * Errors: what passes is tried again, with waits of up to half a minute, CTLWALK_TRIES times.
 * Thread: the main thread.
 */
#ifndef NET_CTL_CTLWALK_H
#define NET_CTL_CTLWALK_H

#include "net/ctl/ctlmark.h"
#include "net/ctl/ctlsrc.h"

#define CTLWALK_TRIES    12u
#define CTLWALK_DAY_MS   INT64_C(86400000)
#define CTLWALK_NAMES_MS (CTLWALK_DAY_MS / 2) /* of lists of a source that may cut them */

struct ctlwalk_opts {
	struct ctlhttp *http; /* borrowed */
	struct ctlsrc *src;   /* borrowed; NULL: pieces are only told */
	const struct ctlsel *sels;
	size_t sels_count;
	int64_t from_ms, to_ms; /* both within */
	int64_t window_ms;      /* windows begin at its multiples; 0: there is one */
	unsigned group;     /* names of the first piece; 0: all at once, until that is too much */
	unsigned group_max; /* 0: no more than fit a request */
	uint64_t samples;   /* of a piece, about */
	bool partial;       /* lists of names need not be whole: warnings are taken */
	int64_t names_ms;   /* a list of names is of no longer range; 0: of any, and is believed */
};
struct ctlwalk {
	/* The piece at hand. */
	struct ctlsrc_piece piece;
	size_t sel; /* which selector */
	int64_t window_from_ms, window_to_ms;
	bool window_ends;         /* with this piece, should it be done */
	const char *const *names; /* of the piece; names_count 0: all of the window */
	size_t names_count;
	/* How far it is: windows, and names of the window at hand. */
	uint64_t windows_done, windows;
	size_t name_at, names_all;
	struct ctlwalk_opts _o;
	struct arena _arena, _piece; /* of the window, of the piece */
	const char **_names;
	struct ctlsel _narrow;
	size_t _group, _most;
	int64_t _sub_from_ms, _sub_ms; /* halves of a window */
	int64_t _next_ms;
	bool _open, _whole, _begun, _sure;
	unsigned _tries;
	char *_after; /* the name that a mark says is done; NULL: none */
	size_t _after_sel;
	int64_t _quiet_to_ms; /* up to here no window has names */
	int64_t _names_ms;    /* as names_ms, or shorter, as it was seen */
};

/* mark (may be NULL) with ctlwalk_save's keys: goes on there. */
void ctlwalk_open(struct ctlwalk *w, const struct ctlwalk_opts *o, const struct ctlmark *mark);
void ctlwalk_close(struct ctlwalk *w);
/* w->piece is the next; *more false: there is none. 0, or an enum ctl_exit that has been told. */
MUST_CHECK int ctlwalk_next(struct ctlwalk *w, bool *more);
void ctlwalk_done(struct ctlwalk *w, uint64_t samples);
/*
 * The piece could not be read: it, or a smaller one, is tried again by ctlwalk_next, after a wait
 * where that helps. Else an exit status that has been told.
 */
MUST_CHECK int ctlwalk_again(struct ctlwalk *w, enum ctlsrc_got got);
/*
 * Where the walk stands behind the piece at hand, as a text of one line that a mark can hold under
 * CTLWALK_KEY; before ctlwalk_done. false: in the middle of a name's window, no place to go on
 * from.
 */
#define CTLWALK_KEY "place"
bool ctlwalk_place(const struct ctlwalk *w, struct buf *out);
/*
 * The first time that the server has something at, looked for in steps of 30 days from 2008 on, by
 * names and then, where it says there are none, by counts. INT64_MAX: nothing.
 */
MUST_CHECK int ctlwalk_first(struct ctlhttp *http, const struct ctlsel *sels, size_t count,
    int64_t to_ms, int64_t *first_ms);

/*
 * A request of JSON that is repeated while the server is away (keep_trying), form as GET's query.
 * As ctlhttp_json.
 */
MUST_CHECK int ctlwalk_json(struct ctlhttp *http, const char *path, const struct buf *form,
    bool keep_trying, json_t **data);

#endif

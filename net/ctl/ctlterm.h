/*
 * ctlterm - the terminal, as far as kymoctl needs it: its size, what it can show, how wide texts
 * are on it, and a screen of one's own.
 *
 * Texts come from servers and files: whatever would steer a terminal (control characters, bytes
 * that are no UTF-8) is shown as \n, \t, \xHH.
 *
 * Thread: the main thread; ctlterm_leave also from a signal handler. Memory: the caller's.
 */
#ifndef NET_CTL_CTLTERM_H
#define NET_CTL_CTLTERM_H

#include <stdio.h>

#include "core/base/buf.h"

struct ctlterm {
	bool tty;               /* else a pipe or a file */
	bool colour;            /* a terminal, not TERM=dumb, without NO_COLOR (no-color.org) */
	bool utf8;              /* by LC_ALL, LC_CTYPE, LANG */
	unsigned columns, rows; /* no terminal: $COLUMNS and $LINES, else 80 and 24 */
};
void ctlterm_look(int fd, struct ctlterm *out);

/* Places of a text as ctlterm_text shows it: 0 of combining marks, 2 of wide characters. */
size_t ctlterm_width(const char *text, size_t len);
/* The text without what steers a terminal. */
void ctlterm_text(struct buf *out, const char *text, size_t len);
void ctlterm_print(FILE *out, const char *text);
/* The same in so many places: cut with ".." at its end, or blanks behind (right: before) it. */
void ctlterm_fit(struct buf *out, const char *text, size_t len, size_t places, bool right);

/*
 * A screen of one's own on the terminal fd, keys come one by one and are not shown; the one before
 * comes back with ctlterm_leave, which may be called at any time, also twice. False: no terminal.
 */
bool ctlterm_enter(int keys_fd, int fd);
void ctlterm_leave(void);
/* A key within so many milliseconds: its character; 0: none; -1: the terminal is gone. */
int ctlterm_key(int keys_fd, int wait_ms);
/* Did the window change its size since the last call? */
bool ctlterm_resized(void);

#endif

#include "net/ctl/ctlterm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "core/base/num.h"
#include "core/base/rune.h"

#define COLUMNS_USUAL 80u
#define ROWS_USUAL    24u
#define SIZE_MOST     10000u

static unsigned env_size(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);
	uint64_t n;
	if (!text || num_parse_u64(text, strlen(text), &n) || !n || n > SIZE_MOST)
		return otherwise;
	return (unsigned)n;
}

static bool env_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *text = getenv(names[i]);
		if (!text || !*text)
			continue;
		const char *dot = strchr(text, '.');
		return dot && (!strncasecmp(dot, ".utf-8", 6) || !strncasecmp(dot, ".utf8", 5));
	}
	return false;
}

void ctlterm_look(int fd, struct ctlterm *out)
{
	struct winsize w;
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
	*out = (struct ctlterm){ .tty = isatty(fd) == 1, .utf8 = env_utf8() };
	out->colour = out->tty && !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
	if (out->tty && !ioctl(fd, TIOCGWINSZ, &w) && w.ws_col && w.ws_row) {
		out->columns = w.ws_col;
		out->rows = w.ws_row;
	} else {
		out->columns = env_size("COLUMNS", COLUMNS_USUAL);
		out->rows = env_size("LINES", ROWS_USUAL);
	}
}

/* ---- texts ---- */

/* First and last of the code points that take no place, and those that take two (the larger blocks
 * of East Asian Width W and F, UAX #11). */
static const uint32_t narrow[][2] = { { 0x300, 0x36f }, { 0x483, 0x489 }, { 0x591, 0x5bd },
	{ 0x610, 0x61a }, { 0x64b, 0x65f }, { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff },
	{ 0x200b, 0x200f }, { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f } };
static const uint32_t wide[][2] = { { 0x1100, 0x115f }, { 0x2e80, 0x303e }, { 0x3041, 0xa4cf },
	{ 0xa960, 0xa97f }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe30, 0xfe6f },
	{ 0xff00, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff },
	{ 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd } };

static bool among(uint32_t rune, const uint32_t (*ranges)[2], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rune >= ranges[i][0] && rune <= ranges[i][1])
			return true;
	return false;
}

/*
 * What the text at s (len > 0) begins with, as it is shown: bytes taken, places, and the escape in
 * its stead ("" = itself). Steering is C0, DEL, C1, and the controls of writing direction.
 */
static size_t piece(const char *s, size_t len, size_t *places, char escape[16])
{
	uint32_t rune;
	size_t n = rune_decode(s, len, &rune);
	escape[0] = 0;
	if (n && rune >= 0x20 && rune < 0x7f) {
		*places = 1;
		return 1;
	}
	if (!n)
		snprintf(escape, 16, "\\x%02x", (unsigned char)*s);
	else if (rune == '\n' || rune == '\t' || rune == '\r')
		snprintf(escape, 16, "\\%c", rune == '\n' ? 'n' : rune == '\t' ? 't' : 'r');
	else if (rune < 0xa0)
		snprintf(escape, 16, "\\x%02x", rune);
	else if ((rune >= 0x202a && rune <= 0x202e) || (rune >= 0x2066 && rune <= 0x2069) ||
	    rune == 0x2028 || rune == 0x2029)
		snprintf(escape, 16, "\\u%04x", rune);
	*places = escape[0]                         ? strlen(escape)
	    : among(rune, narrow, COUNT_OF(narrow)) ? 0
	    : among(rune, wide, COUNT_OF(wide))     ? 2
	                                            : 1;
	return n ? n : 1;
}

static void put(struct buf *out, const char *s, size_t n, const char *escape)
{
	if (*escape)
		buf_add_str(out, escape);
	else
		buf_add(out, s, n);
}

size_t ctlterm_width(const char *text, size_t len)
{
	char escape[16];
	size_t all = 0, places;
	for (size_t i = 0; i < len;) {
		i += piece(text + i, len - i, &places, escape);
		all += places;
	}
	return all;
}

void ctlterm_text(struct buf *out, const char *text, size_t len)
{
	char escape[16];
	size_t places;
	for (size_t i = 0; i < len;) {
		size_t n = piece(text + i, len - i, &places, escape);
		put(out, text + i, n, escape);
		i += n;
	}
}

void ctlterm_print(FILE *out, const char *text)
{
	struct buf b;
	buf_init(&b);
	ctlterm_text(&b, text, strlen(text));
	if (b.len)
		fwrite(b.data, 1, b.len, out);
	buf_release(&b);
}

static void blanks(struct buf *out, size_t n)
{
	while (n--)
		buf_add_u8(out, ' ');
}

void ctlterm_fit(struct buf *out, const char *text, size_t len, size_t places, bool right)
{
	char escape[16];
	size_t whole = ctlterm_width(text, len), at = 0, one;
	if (whole <= places) {
		if (right)
			blanks(out, places - whole);
		ctlterm_text(out, text, len);
		if (!right)
			blanks(out, places - whole);
		return;
	}
	size_t dots = places < 2 ? places : 2;
	for (size_t i = 0; i < len;) {
		size_t n = piece(text + i, len - i, &one, escape);
		if (at + one > places - dots)
			break;
		put(out, text + i, n, escape);
		at += one;
		i += n;
	}
	buf_add(out, "..", dots);
	blanks(out, places - dots - at);
}

/* ---- the screen ---- */

static volatile sig_atomic_t entered, resized;
static int screen_fd, saved_fd;
static struct termios saved;

static void on_resize(int signo)
{
	(void)signo;
	resized = 1;
}

static void say(const char *text)
{
	size_t len = strlen(text);
	while (len) {
		ssize_t n = write(screen_fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

bool ctlterm_enter(int keys_fd, int fd)
{
	struct termios t;
	struct sigaction sa = { .sa_handler = on_resize };
	if (isatty(fd) != 1 || isatty(keys_fd) != 1 || tcgetattr(keys_fd, &t))
		return false;
	saved = t;
	saved_fd = keys_fd;
	screen_fd = fd;
	entered = 1;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGWINCH, &sa, NULL);
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	t.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped screen cannot be given back */
	t.c_cc[VQUIT] = _POSIX_VDISABLE;
	tcsetattr(keys_fd, TCSADRAIN, &t);
	say("\033[?1049h\033[?25l\033[?7l\033[2J\033[H");
	return true;
}

void ctlterm_leave(void)
{
	if (!entered)
		return;
	entered = 0;
	say("\033[0m\033[?7h\033[?25h\033[?1049l");
	tcsetattr(saved_fd, TCSADRAIN, &saved);
}

int ctlterm_key(int keys_fd, int wait_ms)
{
	struct pollfd p = { .fd = keys_fd, .events = POLLIN };
	unsigned char c;
	if (poll(&p, 1, wait_ms) <= 0)
		return 0;
	ssize_t n = read(keys_fd, &c, 1);
	if (n == 1)
		return c;
	return n < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : -1;
}

bool ctlterm_resized(void)
{
	bool was = resized != 0;
	resized = 0;
	return was;
}

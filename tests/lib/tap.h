/*
 * tap - test programs that speak the Test Anything Protocol, header only.
 *
 * A case is one line: tap_ok(cond, "a sentence"). It prints "ok N - sentence" or "not ok N -
 * sentence" with the place. TAP_OK(cond) names itself by its expression.
 * tap_is_*() also print what came and what was wanted. tap_skip() counts as a case that could not
 * run here and says why; it never hides a failure.
 * A program ends with "return tap_done();": the plan, and 0 when nothing failed. A program without
 * a single case fails.
 * Thread: cases are told from one thread.
 */
#ifndef TESTS_LIB_TAP_H
#define TESTS_LIB_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TAP_UNUSED    __attribute__((unused))
#define TAP_FMT(f, a) __attribute__((format(printf, f, a)))

static unsigned tap_count_, tap_failed_, tap_skipped_;

/* A comment line for the reader of the log. */
TAP_UNUSED TAP_FMT(1, 2) static void tap_note(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("# ", stdout);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

TAP_UNUSED TAP_FMT(4, 0) static bool tap_vok_(
    bool cond, const char *file, int line, const char *fmt, va_list ap)
{
	/* One case is one line, whatever stands in its text. */
	char text[700];
	vsnprintf(text, sizeof(text), fmt, ap);
	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20)
			*p = '?';
	}
	tap_count_++;
	printf("%sok %u - %s\n", cond ? "" : "not ", tap_count_, text);
	if (!cond) {
		tap_failed_++;
		printf("#   failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return cond;
}

TAP_UNUSED TAP_FMT(4, 5) static bool tap_ok_(
    bool cond, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	tap_vok_(cond, file, line, fmt, ap);
	va_end(ap);
	return cond;
}

/*
 * All cases return whether they held, so that "if (!tap_ok(...)) return;" ends a function whose
 * rest makes no sense.
 */
#define tap_ok(cond, ...) tap_ok_((cond), __FILE__, __LINE__, __VA_ARGS__)
#define TAP_OK(cond)      tap_ok_((cond), __FILE__, __LINE__, "%s", #cond)

TAP_UNUSED TAP_FMT(5, 6) static bool tap_is_i64_(
    int64_t got, int64_t want, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	bool ok = tap_vok_(got == want, file, line, fmt, ap);
	va_end(ap);
	if (!ok)
		tap_note("  got %" PRId64 ", wanted %" PRId64, got, want);
	return ok;
}
#define tap_is_i64(got, want, ...) tap_is_i64_((got), (want), __FILE__, __LINE__, __VA_ARGS__)

TAP_UNUSED TAP_FMT(5, 6) static bool tap_is_u64_(
    uint64_t got, uint64_t want, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	bool ok = tap_vok_(got == want, file, line, fmt, ap);
	va_end(ap);
	if (!ok)
		tap_note("  got %" PRIu64 ", wanted %" PRIu64, got, want);
	return ok;
}
#define tap_is_u64(got, want, ...) tap_is_u64_((got), (want), __FILE__, __LINE__, __VA_ARGS__)

TAP_UNUSED static void tap_show_(const char *what, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t shown = len < 2000 ? len : 2000;
	printf("#   %s %zu bytes: \"", what, len);
	for (size_t i = 0; i < shown; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\')
			putchar(p[i]);
		else
			printf("\\x%02x", p[i]);
	}
	printf("\"%s\n", shown < len ? " (cut)" : "");
	fflush(stdout);
}

/* Bytes; either pointer may be NULL when its length is 0. */
TAP_UNUSED TAP_FMT(7, 8) static bool tap_is_mem_(const void *got, size_t got_len, const void *want,
    size_t want_len, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	bool same = got_len == want_len &&
	    (got_len == 0 || (got && want && memcmp(got, want, got_len) == 0));
	bool ok = tap_vok_(same, file, line, fmt, ap);
	va_end(ap);
	if (!ok) {
		tap_show_("got   ", got ? got : "", got ? got_len : 0);
		tap_show_("wanted", want ? want : "", want ? want_len : 0);
	}
	return ok;
}
#define tap_is_mem(got, got_len, want, want_len, ...)                                              \
 tap_is_mem_((got), (got_len), (want), (want_len), __FILE__, __LINE__, __VA_ARGS__)

/* C strings; NULL equals only NULL. */
TAP_UNUSED TAP_FMT(5, 6) static bool tap_is_str_(
    const char *got, const char *want, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	bool same = got && want ? strcmp(got, want) == 0 : got == want;
	bool ok = tap_vok_(same, file, line, fmt, ap);
	va_end(ap);
	if (!ok) {
		tap_show_("got   ", got ? got : "(null)", got ? strlen(got) : 6);
		tap_show_("wanted", want ? want : "(null)", want ? strlen(want) : 6);
	}
	return ok;
}
#define tap_is_str(got, want, ...) tap_is_str_((got), (want), __FILE__, __LINE__, __VA_ARGS__)

/* A case that cannot run here, with the reason. */
TAP_UNUSED TAP_FMT(1, 2) static void tap_skip(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	printf("ok %u # SKIP ", ++tap_count_);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	tap_skipped_++;
}

/* Prints the plan; the exit status of main. */
TAP_UNUSED static int tap_done(void)
{
	printf("1..%u\n", tap_count_);
	if (tap_skipped_)
		tap_note("%u of %u skipped", tap_skipped_, tap_count_);
	if (tap_failed_)
		tap_note("%u of %u failed", tap_failed_, tap_count_);
	fflush(stdout);
	return tap_failed_ || tap_count_ == 0;
}

#endif

/*
 * check - assertions and compiler words used everywhere.
 *
 * CHECK stays on in production: our own mistake, the process stops with a line that says where.
 * CHECK_SLOW only with -DKYMO_DEBUG. STATIC at compile time. ODD(x) logs once per place and is
 * true: let one request fail.
 * Bytes from wire, disk or user never reach a CHECK.
 */
#ifndef CORE_BASE_CHECK_H
#define CORE_BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define UNUSED            __attribute__((unused))
#define NORETURN          __attribute__((noreturn))
/*
 * Of a large local that is written before it is read: builds zero all locals first, which takes a
 * microsecond for 64 KiB.
 */
#if defined(__has_attribute)
# if __has_attribute(uninitialized)
#  define SCRATCH __attribute__((uninitialized))
# endif
#endif
#ifndef SCRATCH
# define SCRATCH
#endif
#define LIKELY(x)                     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)                   __builtin_expect(!!(x), 0)
#define STATIC(x)                     _Static_assert(x, #x)
#define COUNT_OF(a)                   (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define CACHE_LINE                    64

NORETURN void check_failed(const char *what, const char *file, int line, const char *func);
bool check_odd(const char *what, const char *file, int line, bool *said);

#define CHECK(x) (LIKELY(x) ? (void)0 : check_failed(#x, __FILE__, __LINE__, __func__))
#ifdef KYMO_DEBUG
# define CHECK_SLOW(x) CHECK(x)
#else
# define CHECK_SLOW(x) ((void)sizeof(x))
#endif
#define ODD(x)                                                                                     \
 (UNLIKELY(x) && ({                                                                                \
static bool odd_said_;                                                                                         \
check_odd(#x, __FILE__, __LINE__, &odd_said_);                                                                 \
 }))

/*
 * The process cannot go on for a reason that is not our mistake (no memory): one line on stderr,
 * then abort.
 */
NORETURN void panic(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif

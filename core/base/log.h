/*
 * log - one line per event on stderr: ts=... level=... event=<name> key=value ... (logfmt), or JSON
 * objects.
 *
 * LOG_INFO("listen_open", "address=%s fd=%d", a, fd). The event name is stable; values that may
 * hold blanks are written key=\"%s\": quotes of the format begin and end a value, quotes and
 * backslashes inside are escaped. Control characters are escaped everywhere.
 * Levels: error = someone must act; warn = we coped; info = life cycle; debug = off.
 * LOG_EVERY limits a place to one line per 10 s and tells how many were left out.
 * Between log_start and log_stop no thread waits for stderr: lines that a stalled reader leaves no
 * room for are lost, and their number is told (core/base/logdrain.h). Otherwise a line is one
 * write(). Thread: any; start and stop the main thread.
 */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include "core/base/err.h"

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_NONE
};
void log_setup(enum log_level least, bool json);
MUST_CHECK enum err log_start(void);
void log_stop(void); /* what waits is written, for LOGDRAIN_STOP_MS at most */
bool log_level_parse(const char *s, enum log_level *out);
bool log_on(enum log_level level);
void log_line(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool log_every_(uint64_t *next_ns, uint64_t *left_out);

/*
 * A pace for lines about something that is counted: the first at once, then one per period with
 * what came meanwhile, until a period brings nothing. One for the whole process, zeroed to begin.
 * Who gets true logs news and asks log_pace_next() after the period. Thread: any.
 */
struct log_pace {
	uint64_t _told;
	bool _paced;
};
/* total: all that was counted so far. False: nothing new, or somebody has the pace. */
bool log_pace_first(struct log_pace *p, uint64_t total, uint64_t *news);
/* False: nothing came, the pace is free again. */
bool log_pace_next(struct log_pace *p, uint64_t total, uint64_t *news);

#define LOG_AT(level, ...) (log_on(level) ? log_line(level, __VA_ARGS__) : (void)0)
#define LOG_DEBUG(...)     LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define LOG_INFO(...)      LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_WARN(...)      LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_ERROR(...)     LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
/* At most once per 10 s and place and thread. */
#define LOG_EVERY(level, ...)                                                                      \
 do {                                                                                              \
  static __thread uint64_t log_next_, log_left_out_;                                               \
  if (log_every_(&log_next_, &log_left_out_))                                                      \
   log_line(level, __VA_ARGS__);                                                                   \
 } while (0)

#endif

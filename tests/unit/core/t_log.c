#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/logdrain.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "tests/lib/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[20000];
static int ends[2], saved;

static void begin(void)
{
	if (pipe(ends) != 0)
		_exit(1);
	saved = dup(2);
	dup2(ends[1], 2);
	close(ends[1]);
}
static const char *end(void)
{
	dup2(saved, 2);
	close(saved);
	size_t len = 0;
	ssize_t n;
	while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(ends[0]);
	return text;
}

static void every(void)
{
	LOG_EVERY(LOG_LEVEL_WARN, "often", "n=%d", 1);
}

/* --- with a reader who stalls --- */

#define LINES 8000u

static uint64_t now_ms(void)
{
	return clock_real_mono_ns() / 1000000;
}

/* Reads lines until the number said plus the number lost is what was logged. */
static void *read_all(void *arg)
{
	struct got {
		unsigned lines, lost, out_of_order;
	} *g = arg;
	FILE *f = fdopen(ends[0], "r");
	char line[1000];
	unsigned next = 0;
	while (g->lines + g->lost < LINES && fgets(line, sizeof(line), f)) {
		unsigned n;
		const char *at = strstr(line, " n=");
		if (strstr(line, "event=log_lines_lost lines=")) {
			sscanf(strstr(line, "lines=") + 6, "%u", &n);
			g->lost += n;
			next += n;
		} else if (at && sscanf(at, " n=%u ", &n) == 1) {
			g->lines++;
			g->out_of_order += n != next;
			next = n + 1;
		}
	}
	return f;
}

static void stalled(void)
{
	struct {
		unsigned lines, lost, out_of_order;
	} g = { 0 };
	pthread_t reader;
	void *f;
	begin();
	CHECK(!log_start());
	uint64_t from = now_ms();
	for (unsigned i = 0; i < LINES; i++)
		LOG_WARN("many",
		    "n=%u text=\"a line as long as lines of a log often are, with this and that in it\"",
		    i);
	uint64_t took = now_ms() - from;
	tap_ok(took < 2000, "%u lines to a reader who does not read take %u ms", LINES,
	    (unsigned)took);
	uint64_t lost = metric_sum(M_LOG_LINES_LOST);
	tap_ok(lost > 1000 && lost < LINES - 1000, "some of them are lost, and counted: %u",
	    (unsigned)lost);
	CHECK(!pthread_create(&reader, NULL, read_all, &g));
	pthread_join(reader, &f);
	tap_ok(g.lines + g.lost == LINES && g.lost == lost,
	    "then %u lines come, and the word that %u were lost", g.lines, g.lost);
	tap_is_u64(g.out_of_order, 0, "at its place in their order");
	LOG_WARN("later", "n=1");
	from = now_ms();
	log_stop();
	tap_ok(now_ms() - from < 1000, "the end waits for nobody when all is read");
	char line[1000] = "";
	tap_ok(fgets(line, sizeof(line), f) && strstr(line, "event=later n=1\n"),
	    "and brings the last line: %s", line);
	dup2(saved, 2);
	close(saved);
	fclose(f);
}

static void stalled_at_the_end(void)
{
	begin();
	CHECK(!log_start());
	for (unsigned i = 0; i < LINES; i++)
		LOG_WARN("many",
		    "n=%u text=\"a line as long as lines of a log often are, with this and that in it\"",
		    i);
	pid_t pid = fork();
	if (!pid) { /* a child has no thread for the log, and no lock that somebody held */
		close(2);
		LOG_WARN("child", "n=1");
		_exit(7);
	}
	int status = 0;
	CHECK(waitpid(pid, &status, 0) == pid);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 7, "a forked child can log");
	pid = fork();
	if (!pid) {
		panic("last words");
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	tap_ok(WIFSIGNALED(status), "a panic dies, whether anybody reads or not");
	uint64_t from = now_ms();
	log_stop();
	uint64_t took = now_ms() - from;
	tap_ok(took < LOGDRAIN_STOP_MS + 1000, "the end is not held up by a stalled reader: %u ms",
	    (unsigned)took);
	LOG_WARN("after", "n=1");
	tap_ok(now_ms() - from < LOGDRAIN_STOP_MS + 1000, "nor is who logs behind it");
	close(ends[0]); /* the thread meets EPIPE and goes on */
	dup2(saved, 2);
	close(saved);
}

/* One object, its strings closed, UTF-8 throughout. */
static bool is_whole_json(const char *s)
{
	size_t len = strlen(s);
	bool in_string = false;
	if (len < 3 || !rune_valid(s, len) || strcmp(s + len - 2, "}\n") != 0)
		return false;
	for (size_t i = 0; i < len - 2; i++) {
		if (in_string && s[i] == '\\')
			i++;
		else if (s[i] == '"')
			in_string = !in_string;
	}
	return !in_string;
}

/*
 * Long texts, each of characters that grow or that are wide, shifted so that the end falls
 * anywhere.
 */
static void test_long_lines(void)
{
	static const char *const fill[] = { "\"", "\\", "\x01", "\xe6\x97\xa5", "\xff",
		"k=\"\xc3\xa9\" " };
	static char long_text[3000];
	bool json = true, plain = true;
	for (size_t i = 0; i < COUNT_OF(fill) * 8; i++) {
		size_t n = 0, step = strlen(fill[i / 8]);
		while (n + step < sizeof(long_text)) {
			memcpy(long_text + n, fill[i / 8], step);
			n += step;
		}
		long_text[n] = 0;
		log_setup(LOG_LEVEL_DEBUG, true);
		begin();
		LOG_WARN("long", "v=\"%.*s%s\" next=1", (int)(i % 8), "pppppppp", long_text);
		json = json && is_whole_json(end());
		log_setup(LOG_LEVEL_DEBUG, false);
		begin();
		LOG_WARN("long", "%.*s%s", (int)(i % 8), "pppppppp", long_text);
		const char *line = end();
		plain = plain && strlen(line) > 1900 && rune_valid(line, strlen(line));
	}
	log_setup(LOG_LEVEL_INFO, false);
	tap_ok(json, "long lines of JSON are JSON");
	tap_ok(plain, "long lines of logfmt are UTF-8");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_long_lines();
	clock_fake(1435781451781);
	begin();
	LOG_INFO("started", "address=%s fd=%d", "a:1", 7);
	LOG_DEBUG("hidden", "x=1");
	tap_is_str(end(), "ts=2015-07-01T20:10:51.781Z level=info event=started address=a:1 fd=7\n",
	    "a line of logfmt");
	begin();
	LOG_WARN("odd", "name=\"%s\"", "a\nb\x01\x1b[31m\xc2\x9b");
	tap_is_str(end(),
	    "ts=2015-07-01T20:10:51.781Z level=warn event=odd name=\"a\\nb\\x01\\x1b[31m\\u009b\"\n",
	    "control characters never pass");
	begin();
	LOG_WARN("odd", "example=\"%s\" n=%d", "h{i=\"0\" x} \\", 1);
	tap_is_str(end(),
	    "ts=2015-07-01T20:10:51.781Z level=warn event=odd example=\"h{i=\\\"0\\\" x} \\\\\" n=1\n",
	    "a quote inside a value does not end it");
	begin();
	LOG_WARN("odd", "example=\"%s\" n=%d", "a\x01 level=error\x02", 1);
	tap_is_str(end(),
	    "ts=2015-07-01T20:10:51.781Z level=warn event=odd example=\"a\\x01 level=error\\x02\" n=1\n",
	    "whatever byte it holds");
	begin();
	LOG_WARN("odd", "example=\"%s\" n=%d", "\x01\x02\x03\x04\x05\x06\x0e\x0f\x10\x11\" x=\"", 1);
	tap_ok(strstr(end(), "\\\" x=\\\"") != NULL, "and all of them end none either");
	log_setup(LOG_LEVEL_DEBUG, true);
	begin();
	LOG_DEBUG("x", "example=\"%s\" n=%d", "h{i=\"0\" x}", 1);
	tap_ok(strstr(end(), ",\"example\":\"h{i=\\\"0\\\" x}\",\"n\":1}\n") != NULL,
	    "nor a member of JSON");
	begin();
	LOG_DEBUG("x", "n=12 s=word q=\"two \\ words\" neg=-5 z=007 free text");
	tap_is_str(end(),
	    "{\"ts\":\"2015-07-01T20:10:51.781Z\",\"level\":\"debug\",\"event\":\"x\",\"n\":12,\"s\":\"word\",\"q\":\"two \\\\ words\",\"neg\":-5,\"z\":\"007\",\"text\":\"free text\"}\n",
	    "a line of JSON");
	log_setup(LOG_LEVEL_WARN, false);
	begin();
	LOG_INFO("quiet", "x=1");
	for (int i = 0; i < 5; i++)
		every();
	clock_fake_advance(10001);
	every();
	const char *s = end();
	tap_ok(strstr(s, "event=often n=1\n") && strstr(s, "event=often left_out=4 n=1\n") &&
	        !strstr(s, "quiet"),
	    "repeats are counted and told later");
	char *big = text + 10000;
	memset(big, 'x', 9000);
	big[9000] = 0;
	begin();
	LOG_ERROR("big", "%s", big);
	s = end();
	tap_ok(strlen(s) < 4097 && s[strlen(s) - 1] == '\n', "a long line is cut: %zu", strlen(s));
	enum log_level l;
	TAP_OK(log_level_parse("warn", &l) && l == LOG_LEVEL_WARN && !log_level_parse("loud", &l));
	stalled();
	stalled_at_the_end();
	log_setup(LOG_LEVEL_NONE, false);
	TAP_OK(!log_on(LOG_LEVEL_ERROR));
	return tap_done();
}

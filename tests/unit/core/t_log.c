#include "core/base/clock.h"
#include "core/base/log.h"
#include "tests/lib/tap.h"

#include <fcntl.h>
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

int main(void)
{
	clock_fake(1435781451781);
	begin();
	LOG_INFO("started", "address=%s fd=%d", "a:1", 7);
	LOG_DEBUG("hidden", "x=1");
	tap_is_str(end(), "ts=2015-07-01T20:10:51.781Z level=info event=started address=a:1 fd=7\n",
	    "a line of logfmt");
	begin();
	LOG_WARN("odd", "name=\"%s\"", "a\nb\x01\x1b[31m");
	tap_is_str(end(),
	    "ts=2015-07-01T20:10:51.781Z level=warn event=odd name=\"a\\nb\\x01\\x1b[31m\"\n",
	    "control characters never pass");
	log_setup(LOG_LEVEL_DEBUG, true);
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
	log_setup(LOG_LEVEL_NONE, false);
	TAP_OK(!log_on(LOG_LEVEL_ERROR));
	return tap_done();
}

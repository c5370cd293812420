/* Arguments of a command: forms of flags, words, mistakes with what was meant, help, the table. */
#include "core/base/cmdline.h"

#include "tests/lib/forked.h"
#include "tests/lib/tap.h"

struct seen {
	const char *server, *format;
	double limit;
	bool quiet;
	const char *each[4];
	size_t each_count;
	int words;
	char *argv[16];
};

static bool add(void *arg, const char *value)
{
	struct seen *s = arg;
	if (s->each_count == COUNT_OF(s->each) || !*value)
		return false;
	s->each[s->each_count++] = value;
	return true;
}

static void parse(
    struct seen *s, int argc, char **argv, const char *words, unsigned least, unsigned most)
{
	const struct cmdline_arg args[] = {
		{ .name = "server", .meta = "URL", .help = "where", .text = &s->server },
		{ .name = "format", .meta = "table|csv", .help = "how", .text = &s->format },
		{ .name = "limit", .meta = "N", .help = "at most", .num = &s->limit },
		{ .name = "quiet", .help = "say less", .flag = &s->quiet },
		{ .name = "match",
		    .meta = "SELECTOR|OR_ANOTHER_ONE_THAT_IS_LONG",
		    .help = "of these, which is told with so many words that one line of a hundred "
		            "columns cannot hold them",
		    .each = add,
		    .arg = s },
	};
	s->words = cmdline_parse(&(struct cmdline){ .program = "prog",
	                             .command = "cmd",
	                             .words = words,
	                             .help = "What it does.",
	                             .examples = "  prog cmd x\n      an example\n",
	                             .args = args,
	                             .args_count = COUNT_OF(args),
	                             .words_min = least,
	                             .words_max = most },
	    argc, argv);
}

/* Of the words of a line; at most two words, one needed. */
static struct seen good(const char *line)
{
	static char text[4][512];
	static unsigned at;
	struct seen s = { .words = 0 };
	char *copy = text[at++ % 4], *save = NULL;
	int n = 0;
	snprintf(copy, sizeof(text[0]), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		s.argv[n++] = w;
	parse(&s, n, s.argv, "EXPR [MORE]", 1, 2);
	return s;
}

static int in_child(void *arg)
{
	good(arg);
	return 77;
}

static void bad(const char *line, const char *says)
{
	struct forked f;
	char copy[256];
	snprintf(copy, sizeof(copy), "%s", line);
	forked_run(&f, in_child, copy);
	tap_ok(f.status == 2 && strstr(f.err, says) && !*f.out && strlen(f.err) &&
	        strchr(f.err, '\n') == f.err + strlen(f.err) - 1,
	    "\"%s\" is refused in a line: %d %s", line, f.status, f.err);
}

static const struct cmdline *shown;
static int show_child(void *arg);
static void show(const struct cmdline *c)
{
	shown = c;
	printf("%s %s %s %zu %s\n", c->program, c->command, c->words, c->args_count, c->args[1].meta);
}

static int show_child(void *arg)
{
	cmdline_show(show);
	good(arg);
	return 77;
}

static int none_child(void *arg)
{
	struct seen s = { .argv = { arg } };
	parse(&s, 1, s.argv, NULL, 0, 0);
	return 77;
}

static int duration_child(void *arg)
{
	return (int)cmdline_duration_s("prog", arg, "step");
}

int main(void)
{
	struct seen s = good("up --server http://x:1 --limit=5 --quiet --match a --match=b more");
	tap_ok(s.words == 2 && !strcmp(s.argv[0], "up") && !strcmp(s.argv[1], "more"),
	    "words are moved to the front");
	tap_ok(!strcmp(s.server, "http://x:1") && s.limit == 5 && s.quiet,
	    "a value stands behind a blank or =");
	tap_ok(s.each_count == 2 && !strcmp(s.each[0], "a") && !strcmp(s.each[1], "b"),
	    "a flag that may be repeated is");
	s = good("--limit 1.5e3 - -- --quiet");
	tap_ok(s.words == 2 && !strcmp(s.argv[0], "-") && !strcmp(s.argv[1], "--quiet") && !s.quiet,
	    "- is a word, and all behind -- are words");
	tap_ok(s.limit == 1500, "a number may be any number");
	s = good("x --server=a=b --server --quiet");
	tap_ok(!strcmp(s.server, "--quiet") && !s.quiet,
	    "a value may look like a flag, the last one holds");
	s = good("-quiet x");
	tap_ok(s.quiet, "one dash does, too");

	bad("x --sever=y", "did you mean --server?");
	bad("x --what", "unknown argument \"--what\", see --help");
	bad("x --limit five", "\"five\" is not a number of 0 or more");
	bad("x --limit -5", "not a number");
	bad("x --limit nan", "not a number");
	bad("x --limit", "--limit needs a value: N");
	bad("x --quiet=yes", "--quiet takes no value");
	bad("x --match=", "too many or bad");
	bad("x y z", "unknown argument \"z\": the words are EXPR [MORE], see --help");
	bad("http://h:1 x y", "the words are EXPR [MORE], and --server names the server");
	bad("x --url y", "did you mean --server?");
	bad("x -o json", "did you mean --format?");
	bad("x --token y", "unknown argument \"--token\", see --help");
	bad("--quiet", "needs EXPR");
	bad("x -5", "unknown argument \"-5\"");

	struct forked f;
	forked_run(&f, in_child, (char[]){ "--limit nonsense --help" });
	tap_ok(f.status == 2, "what is wrong before --help is told");
	forked_run(&f, in_child, (char[]){ "--help --limit nonsense" });
	tap_ok(f.status == 0 && strstr(f.out, "usage: prog cmd [flags] EXPR [MORE]\nWhat it does.\n"),
	    "help says how: %s", f.out);
	tap_ok(strstr(f.out, "  --format table|csv           how\n") &&
	        strstr(f.out, "examples:\n  prog cmd x\n"),
	    "with flags and examples");
	tap_ok(strstr(f.out,
	           "  --match SELECTOR|OR_ANOTHER_ONE_THAT_IS_LONG\n"
	           "                               of these, which is told with so many words that one line of a hundred\n"
	           "                               columns cannot hold them\n") != NULL,
	    "in lines of a hundred columns, each where it belongs: %s", f.out);
	forked_run(&f, in_child, (char[]){ "-h" });
	tap_ok(f.status == 0 && strstr(f.out, "usage:"), "-h is help");
	forked_run(&f, show_child, (char[]){ "--nonsense" });
	tap_ok(f.status == 0 && !strcmp(f.out, "prog cmd EXPR [MORE] 5 table|csv\n"),
	    "the table can be had, whatever the arguments: %s", f.out);
	forked_run(&f, none_child, (char[]){ "word" });
	tap_ok(f.status == 2 && strstr(f.err, "unknown argument \"word\": there are flags alone"),
	    "a command without words has none: %s", f.err);

	forked_run(&f, duration_child, (char[]){ "1m5s" });
	tap_is_i64(f.status, 65, "a duration in seconds");
	forked_run(&f, duration_child, (char[]){ "soon" });
	tap_ok(f.status == 2 && strstr(f.err, "prog: --step: \"soon\""), "soon is none");
	return tap_done();
}

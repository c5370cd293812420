/*
 * Completion and the manual page, made from the tables that the commands parse their arguments by.
 *
 *   kymoctl completion bash|zsh     a script for the shell; it calls, for what is typed,
 *   kymoctl completion words N -- WORD...
 *                                   candidates for the Nth word behind "kymoctl", a line each:
 *                                   word, and behind a tab what it is; ":files" or ":dirs" alone:
 *                                   those are wanted
 *   kymoctl completion man          net/kymoctl.1
 *
 * Names of metrics, labels and snapshots come from the server that the words name, if it answers at
 * once.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mantext.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlhttp.h"
#include "net/ctl/ctlterm.h"
#include "storage/back/snapshot.h"

#define SERVER_MS  1000u /* who waits for a completion waits no longer */
#define NAMES_MOST "1000"
#define WORDS_MOST 256u

/* ---- the table of a command ---- */

struct visit {
	void (*fn)(const struct cmdline *c, void *arg);
	void *arg;
	jmp_buf back;
};
static struct visit *visiting;

static void on_table(const struct cmdline *c)
{
	visiting->fn(c, visiting->arg);
	longjmp(visiting->back, 1);
}

/* fn with the table of a command, which lives as long as the call. */
static void visit(
    const struct ctl_command *command, void (*fn)(const struct cmdline *c, void *arg), void *arg)
{
	struct visit v = { .fn = fn, .arg = arg };
	char *none[] = { NULL };
	visiting = &v;
	cmdline_show(on_table);
	if (!setjmp(v.back)) {
		int status = command->run(0, none);
		(void)status; /* comes back by on_table */
	}
	cmdline_show(NULL);
	visiting = NULL;
}

static const struct cmdline_arg *find(const struct cmdline *c, const char *name, size_t len)
{
	for (size_t i = 0; i < c->args_count; i++)
		if (strlen(c->args[i].name) == len && !memcmp(c->args[i].name, name, len))
			return &c->args[i];
	return NULL;
}

/* ---- candidates ---- */

struct typed {
	char **words;       /* behind "kymoctl" */
	unsigned count, at; /* at: the one that is asked for, from 0 */
	const char *now;    /* it */
};

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static void tell(const struct typed *t, const char *before, const char *word, const char *what)
{
	if (begins(word, t->now))
		printf("%s%s%s%s\n", before, word, what ? "\t" : "", what ? what : "");
}

/* The value of an access flag among the words; NULL: not said. */
static const char *said(const struct typed *t, const char *name)
{
	size_t len = strlen(name);
	for (unsigned i = 1; i < t->count; i++) {
		const char *w = t->words[i];
		if (i == t->at || strncmp(w, "--", 2) != 0 || strncmp(w + 2, name, len) != 0)
			continue;
		if (w[2 + len] == '=')
			return w + 3 + len;
		if (!w[2 + len] && i + 1 < t->count && i + 1 != t->at)
			return !strcmp(t->words[i + 1], "=") && i + 2 < t->count ? t->words[i + 2]
			                                                         : t->words[i + 1];
	}
	return NULL;
}

static bool said_flag(const struct typed *t, const char *name)
{
	for (unsigned i = 1; i < t->count; i++)
		if (!strncmp(t->words[i], "--", 2) && !strcmp(t->words[i] + 2, name))
			return true;
	return false;
}

static bool of_name(char c)
{
	return c == '_' || c == ':' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z');
}

/* What the server that the words name answers, if it does at once; else NULL. */
static json_t *asked(const struct typed *t, const char *path, const struct buf *form)
{
	struct ctlhttp_access a = { .server = said(t, "server"),
		.ca = said(t, "ca"),
		.cert = said(t, "cert"),
		.key = said(t, "key"),
		.token_file = said(t, "token-file"),
		.user = said(t, "user"),
		.password_file = said(t, "password-file"),
		.tenant = said(t, "tenant"),
		.insecure = said_flag(t, "insecure") };
	struct ctlhttp_call call = { .whole_ms = SERVER_MS };
	struct ctlhttp *http;
	json_t *answer;
	if (ctlhttp_open(&a, &http))
		return NULL;
	ctlhttp_call_json(http, "GET", path, form, &call, &answer);
	ctlhttp_call_release(&call);
	ctlhttp_close(http);
	return answer;
}

/* What may be typed at the end of a text of PromQL. */
enum wanted {
	WANT_METRICS,
	WANT_LABELS,
	WANT_NOTHING
};
static enum wanted wanted(const char *text, const char *end)
{
	char quote = 0;
	const char *begun = text;
	unsigned braces = 0;
	for (const char *s = text; s < end; s++)
		if (quote) {
			if (*s == '\\' && quote != '`' && s + 1 < end)
				s++;
			else if (*s == quote)
				quote = 0;
		} else if (*s == '"' || *s == '\'' || *s == '`') {
			quote = *s;
			begun = s;
		} else if (*s == '{') {
			braces++;
		} else if (*s == '}') {
			braces -= braces > 0;
		}
	if (!quote)
		return braces ? WANT_LABELS : WANT_METRICS;
	while (begun > text && strchr("=~! ", begun[-1]))
		begun--;
	/* values of other labels are not asked for */
	return begun - text >= (ptrdiff_t)strlen("__name__") &&
	        !memcmp(begun - strlen("__name__"), "__name__", strlen("__name__"))
	    ? WANT_METRICS
	    : WANT_NOTHING;
}

/* Names of the server: of metrics, else of labels. What stands before the last name stays. */
static void names(const struct typed *t, bool metrics)
{
	struct buf form;
	json_t *answer, *name;
	size_t i;
	const char *now = t->now + (*t->now == '\'' || *t->now == '"'), *last = now + strlen(now);
	while (last > now && of_name(last[-1]))
		last--;
	if (metrics) {
		enum wanted w = wanted(now, last);
		if (w == WANT_NOTHING)
			return;
		metrics = w == WANT_METRICS;
	} else {
		last = now;
	}
	buf_init(&form);
	ctlhttp_param(&form, "limit", NAMES_MOST);
	if (metrics && *last) {
		char match[256];
		snprintf(match, sizeof(match), "{__name__=~\"%.200s.*\"}", last);
		ctlhttp_param(&form, "match[]", match);
	}
	answer = asked(t, metrics ? "/api/v1/label/__name__/values" : "/api/v1/labels", &form);
	json_array_foreach(json_object_get(answer, "data"), i, name)
	{
		const char *text = json_string_value(name);
		bool plain = text && *text;
		for (const char *s = text; plain && *s; s++)
			plain = of_name(*s);
		if (plain && begins(text, last))
			printf("%.*s%s\n", (int)(last - now), now, text);
	}
	json_decref(answer);
	buf_release(&form);
}

static void snapshots(const struct typed *t)
{
	json_t *answer = asked(t, "/api/v1/admin/tsdb/snapshots", NULL), *one;
	size_t i;
	json_array_foreach(json_object_get(answer, "data"), i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		if (name && snapshot_name_parse(name, NULL))
			tell(t, "", name, NULL);
	}
	json_decref(answer);
}

/* What may stand for a word of a usage: "FILE", "table|csv", "[LABEL...]". before: a flag and =. */
static void meant(const struct typed *t, const char *before, const char *meta)
{
	if (strchr(meta, '|') && meta[0] >= 'a' && meta[0] <= 'z') {
		char one[64];
		for (const char *s = meta; *s;) {
			size_t len = strcspn(s, "| ");
			snprintf(one, sizeof(one), "%.*s", (int)len, s);
			tell(t, before, one, NULL);
			s += len + (s[len] == '|');
			if (*s == ' ')
				return;
		}
	} else if (!strcmp(meta, "SNAPSHOT")) {
		snapshots(t);
	} else if (strstr(meta, "DIR") || strstr(meta, "REPO")) {
		puts(":dirs");
	} else if (strstr(meta, "FILE") || strstr(meta, "SOURCE") || strstr(meta, "PATH") ||
	    strstr(meta, "OUT")) {
		puts(":files");
	} else if (strstr(meta, "EXPR") || strstr(meta, "SELECTOR") || strstr(meta, "METRIC")) {
		names(t, true);
	} else if (strstr(meta, "LABEL") || !strcmp(meta, "[NAME]")) {
		names(t, false);
	}
}

static void complete(const struct cmdline *c, void *arg)
{
	struct typed *t = arg;
	const char *was = t->at > 1 ? t->words[t->at - 1] : "", *equals = strchr(t->now, '=');
	/* bash makes three words of --name=value. */
	if (!strcmp(t->now, "=") && *was == '-')
		t->now = "";
	else if (!strcmp(was, "=") && t->at > 2)
		was = t->words[t->at - 2];
	const struct cmdline_arg *flag = begins(was, "--") ? find(c, was + 2, strlen(was + 2)) : NULL;
	if (flag && flag->meta) {
		meant(t, "", flag->meta);
		return;
	}
	if (begins(t->now, "--") && equals) {
		flag = find(c, t->now + 2, (size_t)(equals - t->now - 2));
		char *before = mem_zalloc(strlen(t->now) + 1);
		memcpy(before, t->now, (size_t)(equals + 1 - t->now));
		t->now = equals + 1;
		if (flag && flag->meta)
			meant(t, before, flag->meta);
		mem_free(before);
		return;
	}
	if (*t->now != '-') {
		meant(t, "", c->words ? c->words : "");
		return;
	}
	char name[80];
	for (size_t i = 0; i < c->args_count; i++) {
		snprintf(name, sizeof(name), "--%s", c->args[i].name);
		tell(t, "", name, c->args[i].help);
	}
	tell(t, "", "--help", "what it does, its flags, examples");
}

static int words(int count, char **argv)
{
	uint64_t at;
	if (count < 1 || num_parse_u64(argv[0], strlen(argv[0]), &at) || at < 1 ||
	    at > WORDS_MOST || at > (uint64_t)count)
		return ctl_fail(
		    CTL_USAGE, "words needs the number of a word, and the words behind --");
	struct typed t = { .words = argv + 1, .count = (unsigned)count - 1, .at = (unsigned)at - 1 };
	t.now = t.at < t.count ? t.words[t.at] : "";
	if (!t.at) {
		for (size_t i = 0; i < ctl_commands_count; i++)
			tell(&t, "", ctl_commands[i].name, ctl_commands[i].help);
		tell(&t, "", "help", "the commands");
		return CTL_OK;
	}
	for (size_t i = 0; i < ctl_commands_count; i++)
		if (!strcmp(ctl_commands[i].name, t.words[0]))
			visit(&ctl_commands[i], complete, &t);
	return CTL_OK;
}

static const char bash[] =
    "# Completion of kymoctl for bash: kymoctl completion bash.\n"
    "_kymoctl() {\n"
    "	local IFS=$'\\n' line i n=0 at=0 cur before= words=()\n"
    "	# bash breaks words at colons, which names of metrics have.\n"
    "	for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do\n"
    "		line=${COMP_WORDS[i]}\n"
    "		if [[ $at -gt 0 && ($line == :* || ${words[at - 1]} == *:) ]]; then\n"
    "			words[at - 1]+=$line\n"
    "		else\n"
    "			words[at++]=$line\n"
    "		fi\n"
    "		[[ $i -eq $COMP_CWORD ]] && n=$at\n"
    "	done\n"
    "	cur=${words[n - 1]}\n"
    "	[[ $cur == *:* && $cur != [\\'\\\"]* ]] && before=${cur%\"${cur##*:}\"}\n"
    "	local out=($(\"${COMP_WORDS[0]}\" completion words \"$n\" -- \"${words[@]}\" 2>/dev/null </dev/null))\n"
    "	COMPREPLY=()\n"
    "	[[ $cur == = ]] && cur=\n"
    "	case ${out[0]-} in\n"
    "	:files) COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null ;;\n"
    "	:dirs) COMPREPLY=($(compgen -d -- \"$cur\")); compopt -o filenames 2>/dev/null ;;\n"
    "	*) for line in \"${out[@]}\"; do line=${line%%$'\\t'*}; COMPREPLY+=(\"${line#\"$before\"}\"); done ;;\n"
    "	esac\n"
    "}\n"
    "complete -F _kymoctl kymoctl\n";

static const char zsh[] =
    "#compdef kymoctl\n"
    "# Completion of kymoctl for zsh: kymoctl completion zsh.\n"
    "_kymoctl() {\n"
    "	local -a out names told\n"
    "	local line tab=$'\\t'\n"
    "	out=(\"${(@f)$(\"${words[1]}\" completion words $((CURRENT - 1)) -- \"${(@)words[2,-1]}\" 2>/dev/null </dev/null)}\")\n"
    "	case ${out[1]} in\n"
    "	'') return 1 ;;\n"
    "	:files) _files; return ;;\n"
    "	:dirs) _files -/; return ;;\n"
    "	esac\n"
    "	for line in $out; do\n"
    "		names+=(\"${line%%$tab*}\")\n"
    "		told+=(\"${${line%%$tab*}//:/\\\\:}:${line#*$tab}\")\n"
    "	done\n"
    "	if [[ ${out[1]} == *$tab* ]]; then\n"
    "		_describe -t values value told names -Q\n"
    "	else\n"
    "		compadd -Q -- $names\n"
    "	fi\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _kymoctl ]; then\n"
    "	_kymoctl \"$@\"\n"
    "else\n"
    "	compdef _kymoctl kymoctl\n"
    "fi\n";

/* ---- the manual page ---- */

static void man_flag(struct buf *out, const struct cmdline_arg *a)
{
	buf_add_str(out, ".TP\n\\fB\\-\\-");
	mantext(out, a->name);
	buf_add_str(out, "\\fR");
	if (a->meta) {
		buf_add_str(out, " \\fI");
		mantext(out, a->meta);
		buf_add_str(out, "\\fR");
	}
	buf_add_u8(out, '\n');
	mantext(out, a->help);
	buf_add_u8(out, '\n');
}

/* Flags of every command that asks a server: told once. */
static const struct cmdline_arg *access_args(size_t *count)
{
	static struct ctlhttp_access a;
	static struct cmdline_arg args[] = { CTLHTTP_ARGS(a) };
	*count = COUNT_OF(args);
	return args;
}

static bool of_access(const struct cmdline_arg *arg)
{
	size_t count;
	const struct cmdline_arg *args = access_args(&count);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(args[i].name, arg->name) && !strcmp(args[i].help, arg->help))
			return true;
	return false;
}

static void man_command(const struct cmdline *c, void *arg)
{
	struct buf *out = arg;
	bool server = false;
	if (c->words) {
		buf_add_str(out, "\\fI");
		mantext(out, c->words);
		buf_add_str(out, "\\fR\n");
	}
	buf_add_str(out, ".PP\n");
	if (c->help) {
		mantext(out, c->help);
		buf_add_u8(out, '\n');
	}
	for (size_t i = 0; i < c->args_count; i++) {
		if (of_access(&c->args[i]))
			server = true;
		else
			man_flag(out, &c->args[i]);
	}
	if (server)
		buf_add_str(out, ".PP\nand the flags of a server, below.\n");
	if (c->examples) {
		buf_add_str(out, ".PP\n.nf\n");
		mantext(out, c->examples);
		buf_add_str(out, ".fi\n");
	}
}

static const char man_head[] =
    ".\\\" Made from the tables of the commands: t_ctlpage write.\n"
    ".TH KYMOCTL 1 \"\" kymo \"User Commands\"\n"
    ".SH NAME\nkymoctl \\- look into kymod, look after it, bring data in and out\n"
    ".SH SYNOPSIS\n.B kymoctl\n\\fICOMMAND\\fR [\\fIflags\\fR] [\\fIwords\\fR]\n.br\n"
    ".B kymoctl\n\\fICOMMAND\\fR \\fB\\-\\-help\\fR\n.br\n"
    ".B kymoctl \\-\\-version\n"
    ".SH DESCRIPTION\n"
    "The tool for every day of a kymod server (kymod(1)). Answers go to standard output, all else to standard error.\n"
    "Commands that ask in PromQL work with Prometheus and VictoriaMetrics, too.\n"
    "In a browser the server's own address shows the same as a page, with help under /help.\n"
    ".PP\n"
    "Flags are \\-\\-name value or \\-\\-name=value and may stand anywhere; \\-\\- ends them. In brackets the default. "
    "DURATION: 15s, 1h30m, 30d.\nTIME: unix seconds, RFC 3339 (2026\\-11\\-29T08:00:00Z), a day in UTC (2026\\-11\\-29), now, or so "
    "long ago (1h, 7d).\n"
    ".PP\n"
    "Long work shows how it goes, with its rate and the time left; it can be interrupted (SIGINT, SIGTERM), and the same "
    "command goes on where it was.\n"
    ".SH COMMANDS\n";

static const char man_tail[] =
    ".SH EXIT STATUS\n"
    ".TP\n0\nDone.\n"
    ".TP\n1\nDone, and the answer is no: trouble was found, or damage, or two sides differ.\n"
    ".TP\n2\nA flag, a word or an expression is wrong.\n"
    ".TP\n3\nThe server cannot be reached, or did not answer in time.\n"
    ".TP\n4\nThe server refused, or failed.\n"
    ".TP\n5\nWhat was read is damaged, or of no known form.\n"
    ".TP\n6\nInterrupted; the same command goes on where it was.\n"
    ".TP\n7\nThis machine: no room, no rights, no such file.\n"
    ".SH ENVIRONMENT\n"
    ".TP\nKYMO_SERVER\nThe server where \\-\\-server is not given.\n"
    ".TP\nHTTP_PROXY, HTTPS_PROXY, NO_PROXY\nProxies, as other programs read them.\n"
    ".TP\nNO_COLOR, TERM\nNothing is coloured when NO_COLOR is set, TERM is dumb, or the output is no terminal.\n"
    ".TP\nCOLUMNS, LINES\nThe size of graphs where the output is no terminal (80, 24).\n"
    ".TP\nLC_ALL, LC_CTYPE, LANG\nGraphs are drawn in braille where they name UTF\\-8, else in letters.\n"
    ".TP\nXDG_STATE_HOME\nWhere marks of long work lie, in its folder kymoctl.\n"
    ".SH FILES\n"
    ".TP\n~/.local/state/kymoctl/\nMarks of long work that was interrupted; each goes when its work is done.\n"
    ".SH EXAMPLES\n"
    ".nf\nkymoctl query 'sum by (job) (up)'\n"
    "kymoctl query \\-\\-start 6h \\-\\-format graph 'rate(kymo_samples_stored_total[5m])'\n"
    "kymoctl top \\-\\-server https://metrics.example \\-\\-token\\-file token\n"
    "source <(kymoctl completion bash)\n.fi\n"
    ".SH SEE ALSO\nkymod(1)\n";

static void man(struct buf *out)
{
	size_t count;
	const struct cmdline_arg *args = access_args(&count);
	buf_add_str(out, man_head);
	for (size_t i = 0; i < ctl_commands_count; i++) {
		buf_add_str(out, ".SS ");
		mantext(out, ctl_commands[i].name);
		buf_add_u8(out, '\n');
		mantext(out, ctl_commands[i].help);
		buf_add_str(out, "\n.PP\n.B kymoctl ");
		mantext(out, ctl_commands[i].name);
		buf_add_str(out, "\n[\\fIflags\\fR]\n");
		visit(&ctl_commands[i], man_command, out);
	}
	buf_add_str(out, ".SH FLAGS OF A SERVER\n");
	for (size_t i = 0; i < count; i++)
		man_flag(out, &args[i]);
	buf_add_str(out, man_tail);
}

int ctl_completion(int argc, char **argv)
{
	int count = cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "completion",
	        .words = "bash|zsh|man",
	        .help = "A script that completes commands, flags, and names of metrics and labels; or the manual page.\n"
	                "make install puts all three in place.",
	        .examples = "  source <(kymoctl completion bash)\n"
	                    "      for this shell\n"
	                    "  kymoctl completion zsh > \"${fpath[1]}/_kymoctl\"\n"
	                    "      for good\n",
	        .words_min = 1,
	        .words_max = WORDS_MOST },
	    argc, argv);
	struct buf b;
	ctl_catch();
	if (!strcmp(argv[0], "words"))
		return words(count - 1, argv + 1);
	if (count > 1 ||
	    (strcmp(argv[0], "bash") != 0 && strcmp(argv[0], "zsh") != 0 &&
	        strcmp(argv[0], "man") != 0))
		return ctl_fail(CTL_USAGE, "\"%s\" is not bash, zsh or man", argv[count > 1 ? 1 : 0]);
	buf_init(&b);
	if (!strcmp(argv[0], "man"))
		man(&b);
	else
		buf_add_str(&b, !strcmp(argv[0], "bash") ? bash : zsh);
	fwrite(b.data, 1, b.len, stdout);
	buf_release(&b);
	return CTL_OK;
}

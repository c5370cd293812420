#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/ctl/ctl.h"
#include "net/ctl/ctlcmds.h"
#include "net/daemon/config.h"
#include "net/daemon/webconfig.h"

#define FLAGS_MAX 128

/* What of a file tells whose it is: its keys at the top. */
enum whose {
	OF_KYMOD,
	OF_WEB,       /* --web.config.file, as Prometheus and its exporters have it */
	OF_PROMETHEUS /* prometheus.yml */
};

static enum whose whose_is(const char *path)
{
	static const char *const web[] = { "tls_server_config", "http_server_config",
		"basic_auth_users" };
	static const char *const prometheus[] = { "scrape_configs", "rule_files", "global",
		"remote_write" };
	struct yaml_keep keep;
	enum whose is = OF_KYMOD;
	yaml_keep_init(&keep);
	struct yaml *y = yaml_load(path, &keep);
	for (size_t i = 0; i < COUNT_OF(prometheus); i++)
		if (yaml_child(yaml_root(y), prometheus[i]))
			is = OF_PROMETHEUS;
	for (size_t i = 0; i < COUNT_OF(web); i++)
		if (yaml_child(yaml_root(y), web[i]))
			is = OF_WEB;
	yaml_close(y);
	yaml_keep_release(&keep);
	return is;
}

static int wrong(const char *path, struct buf *told, enum whose is)
{
	fwrite(told->data, 1, told->len, stderr);
	if (is == OF_PROMETHEUS)
		ctl_note("%s is a configuration of Prometheus: kymod takes what it sends (remote_write), and "
		         "reads one of its own (kymod --print-config)",
		    path);
	return CTL_DAMAGED;
}

static int check_web(const char *path)
{
	struct webconfig *w;
	struct buf told;
	int status = CTL_OK;
	buf_init(&told);
	if (webconfig_load(path, &w, &told)) {
		status = wrong(path, &told, OF_WEB);
	} else {
		printf("%s: fine (web configuration: %s, %zu users)\n", path,
		    w->has_tls ? "TLS" : "no TLS", w->user_count);
		webconfig_free(w);
	}
	buf_release(&told);
	return status;
}

/* What is taken, but may not be what was meant. */
static void warn_of(const struct config *c)
{
	if (*c->flags.features_unknown)
		ctl_note("unknown features are ignored: %s; known are %s",
		    c->flags.features_unknown, flags_features());
}

static int check_kymod(const char *path, int argc, char **argv, bool show)
{
	struct config *c;
	struct buf told;
	int status = CTL_OK;
	buf_init(&told);
	enum err e = path ? config_load_file(path, argc, argv, &c, &told)
	                  : config_load(argc, argv, &c, &told);
	if (e) {
		status = wrong(path, &told, path ? whose_is(path) : OF_KYMOD);
	} else {
		warn_of(c);
		if (show) {
			config_show(c, &told);
			fwrite(told.data, 1, told.len, stdout);
		} else {
			printf("%s: fine\n", path ? path : "command line");
		}
		config_drop(c);
	}
	buf_release(&told);
	return status;
}

int ctl_check_config(int argc, char **argv)
{
	bool web = false, show = false;
	const struct cmdline_arg args[] = {
		{ .name = "web",
		    .help = "it is a web configuration, whatever its keys (--web.config.file)",
		    .flag = &web },
		{ .name = "show",
		    .help = "what would be in force, as a file, without secrets",
		    .flag = &show },
	};
	int words = cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "check-config",
	        .words = "FILE [-- FLAGS OF KYMOD...]",
	        .help =
	            "Reads a configuration as kymod does, with the files that it names: all that is wrong,\n"
	            "each with its place. Also a web configuration of Prometheus. Exit status 5: it is wrong.",
	        .examples = "  kymoctl check-config kymod.yml\n"
	                    "      before a reload\n"
	                    "  kymoctl check-config kymod.yml -- --retention 90d\n"
	                    "      below this command line\n"
	                    "  kymoctl check-config -- --retention 90d --listen :9470\n"
	                    "      a command line alone\n"
	                    "  kymoctl check-config web.yml\n"
	                    "      the file of --web.config.file\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 1,
	        .words_max = FLAGS_MAX },
	    argc, argv);
	char *flags[FLAGS_MAX + 2] = { (char[]){ "kymod" } };
	const char *path = argv[0][0] == '-' && argv[0][1] ? NULL : argv[0];
	int count = 1;
	struct flags said;
	struct errbuf eb;
	for (int i = path ? 1 : 0; i < words; i++)
		flags[count++] = argv[i];
	errbuf_init(&eb);
	if (flags_parse(count, flags, &said, &eb))
		return ctl_fail(CTL_USAGE, "%s", eb.text);
	if (path && access(path, R_OK))
		return ctl_fail(CTL_LOCAL, "%s: %s", path, strerror(errno));
	if (path && (web || whose_is(path) == OF_WEB))
		return check_web(path);
	return check_kymod(path, count, flags, show);
}

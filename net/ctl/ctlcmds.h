/*
 * ctlcmds - the commands of kymoctl: a line each, in the order of its help. ctl_NAME.c has it.
 */
#ifndef NET_CTL_CTLCMDS_H
#define NET_CTL_CTLCMDS_H

/* CTL_COMMAND(name, function, "what it does") */
/* clang-format off */
#define CTL_COMMANDS(CTL_COMMAND)                                                                  \
	CTL_COMMAND("query", ctl_query, "ask an expression, at one time or over a range") \
	CTL_COMMAND("series", ctl_series, "list series") \
	CTL_COMMAND("labels", ctl_labels, "list names of labels, or values of one") \
	CTL_COMMAND("metadata", ctl_metadata, "type, unit and help of metrics") \
	CTL_COMMAND("cardinality", ctl_cardinality, "what most series are of, and what grows") \
	CTL_COMMAND("check-config", ctl_check_config, "read a configuration as kymod does, and say what is wrong")
/* clang-format on */

#define CTL_DECLARE(name, function, help) int function(int argc, char **argv);
CTL_COMMANDS(CTL_DECLARE)

#endif

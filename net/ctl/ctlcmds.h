/*
 * ctlcmds - the commands of kymoctl: a line each, in the order of its help. ctl_NAME.c has it.
 */
#ifndef NET_CTL_CTLCMDS_H
#define NET_CTL_CTLCMDS_H

/* CTL_COMMAND(name, function, "what it does") */
#define CTL_COMMANDS(CTL_COMMAND)                                                                  \
 CTL_COMMAND("query", ctl_query, "ask an expression, at one time or over a range")

#define CTL_DECLARE(name, function, help) int function(int argc, char **argv);
CTL_COMMANDS(CTL_DECLARE)

#endif

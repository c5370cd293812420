/*
 * ctlcmds - the commands of kymoctl, rows of net/ctl/ctlcmds.def. ctl_NAME.c has each.
 */
#ifndef NET_CTL_CTLCMDS_H
#define NET_CTL_CTLCMDS_H

#define CTL_COMMAND(name, function, help) int function(int argc, char **argv);
#include "net/ctl/ctlcmds.def"
#undef CTL_COMMAND

#endif

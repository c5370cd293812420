/*
 * boot - puts the rooms together, runs the server until a signal, and takes them apart again.
 *
 *   flags > loops and workers > API and sockets (every path answers 503 but /-/healthy)
 *         > store (recovery) > ready line > ... SIGTERM or SIGINT ... > drain
 *
 * Thread: main. Status: 0 after a clean end, 1 when something could not be opened, 2 for a wrong
 * command line.
 */
#ifndef NET_DAEMON_BOOT_H
#define NET_DAEMON_BOOT_H

#define BOOT_WORKERS  4u /* disk workers */
#define BOOT_VERSION  "0.1.0"
#define BOOT_REVISION "kymo-" BOOT_VERSION

int boot_main(int argc, char **argv);

#endif

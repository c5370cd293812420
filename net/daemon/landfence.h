/*
 * landfence - files and folders that this process may still reach, by Landlock (landlock(7), Linux
 * 5.13 and later): what is not allowed by name is refused with EACCES, whoever runs the process.
 *
 *   landfence_begin > landfence_allow ... > landfence_enter
 *
 * (1) It holds for the thread that enters and all that it starts afterwards: it must be the only
 *     one. There is no way back, and children inherit it.
 * (2) A folder is allowed with all below it, as it is now: the folder itself may not be replaced by
 *     another one of the same name, what is in it may. A file is allowed alone, until another takes
 *     its place.
 * (3) What is open stays open; names may be looked up everywhere, but nothing read there.
 * (4) Where the kernel can (ABI 6), signals and abstract unix sockets of processes outside are out
 *     of reach, too; sockets that are connected already go on.
 * Numbers are those of the kernel's linux/landlock.h, ABI 1 to 6: headers of Debian 12 know the
 * first two only.
 *
 * Memory: none but descriptors. Errors: ERR_UNSUPPORTED when the kernel has no Landlock, or one
 * that forbids links and renames between folders (ABI 1).
 */
#ifndef NET_DAEMON_LANDFENCE_H
#define NET_DAEMON_LANDFENCE_H

#include "core/base/err.h"

struct landfence {
	int fd;
	unsigned abi;
	uint64_t all; /* rights that the kernel knows, and that are refused unless allowed */
};
#define LANDFENCE_READ    1u  /* files, and lists of folders */
#define LANDFENCE_WRITE   2u  /* make, change, rename, link, remove: files and folders */
#define LANDFENCE_CHANGE  8u  /* write files that are there */
#define LANDFENCE_FILES   16u /* make, change, rename, remove files of a folder, as logs are */
#define LANDFENCE_SOCKETS 4u  /* make and remove unix sockets in a folder */

unsigned landfence_abi(void); /* of this kernel; 0: it has none, or it is turned off */
MUST_CHECK enum err landfence_begin(struct landfence *f);
/* False: there is no such path, or it cannot be opened; nothing is allowed by it. */
bool landfence_allow(struct landfence *f, const char *path, unsigned what);
/* Closes f, whatever comes of it; no_new_privs must be set. */
MUST_CHECK enum err landfence_enter(struct landfence *f);

#endif

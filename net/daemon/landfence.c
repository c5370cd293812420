#include "net/daemon/landfence.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* System calls 444 to 446 on every architecture. */
#define CREATE_RULESET 444
#define ADD_RULE       445
#define RESTRICT_SELF  446

#define CREATE_VERSION 1u
#define PATH_BENEATH   1u
#define SCOPES         3u /* abstract unix sockets, signals */
#define ABI_LEAST      2u /* renames and links between folders */
#define ABI_NET        4u
#define ABI_SCOPES     6u

enum right {
	EXECUTE = 1u << 0,
	WRITE_FILE = 1u << 1,
	READ_FILE = 1u << 2,
	READ_DIR = 1u << 3,
	REMOVE_DIR = 1u << 4,
	REMOVE_FILE = 1u << 5,
	MAKE_CHAR = 1u << 6,
	MAKE_DIR = 1u << 7,
	MAKE_REG = 1u << 8,
	MAKE_SOCK = 1u << 9,
	MAKE_FIFO = 1u << 10,
	MAKE_BLOCK = 1u << 11,
	MAKE_SYM = 1u << 12,
	REFER = 1u << 13,
	TRUNCATE = 1u << 14,
	IOCTL_DEV = 1u << 15
};
#define READS   (READ_FILE | READ_DIR)
#define WRITES  (WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE)
#define FILES   (WRITE_FILE | MAKE_REG | REMOVE_FILE | TRUNCATE)
#define SOCKETS (MAKE_SOCK | REMOVE_FILE)
#define OF_FILE (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV) /* others: of folders */

struct ruleset_attr {
	uint64_t handled_fs;
	uint64_t handled_net; /* since ABI 4 */
	uint64_t scoped;      /* since ABI 6 */
};
/* As the kernel has it: 12 bytes. */
struct beneath_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));
STATIC(sizeof(struct beneath_attr) == 12);

unsigned landfence_abi(void)
{
	long abi = syscall(CREATE_RULESET, NULL, 0, CREATE_VERSION);
	return abi > 0 ? (unsigned)abi : 0;
}

static uint64_t rights_of(unsigned abi)
{
	unsigned known = abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13;
	return (UINT64_C(1) << known) - 1;
}

static size_t attr_size(unsigned abi)
{
	if (abi >= ABI_SCOPES)
		return sizeof(struct ruleset_attr);
	return abi >= ABI_NET ? offsetof(struct ruleset_attr, scoped)
	                      : offsetof(struct ruleset_attr, handled_net);
}

enum err landfence_begin(struct landfence *f)
{
	*f = (struct landfence){ .fd = -1, .abi = landfence_abi() };
	if (f->abi < ABI_LEAST)
		return ERR_UNSUPPORTED;
	f->all = rights_of(f->abi);
	struct ruleset_attr a = { .handled_fs = f->all };
	if (f->abi >= ABI_SCOPES)
		a.scoped = SCOPES;
	f->fd = (int)syscall(CREATE_RULESET, &a, attr_size(f->abi), 0);
	return f->fd < 0 ? err_of_errno(errno) : ERR_OK;
}

bool landfence_allow(struct landfence *f, const char *path, unsigned what)
{
	uint64_t rights = (what & LANDFENCE_READ ? READS : 0u) |
	    (what & LANDFENCE_FILES ? FILES : 0u) | (what & LANDFENCE_CHANGE ? WRITE_FILE : 0u) |
	    (what & LANDFENCE_WRITE ? WRITES : 0u) | (what & LANDFENCE_SOCKETS ? SOCKETS : 0u);
	struct stat st;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool there = !fstat(fd, &st);
	if (there && !S_ISDIR(st.st_mode))
		rights &= OF_FILE;
	struct beneath_attr a = { .allowed = rights & f->all, .parent_fd = fd };
	bool done = there && a.allowed && !syscall(ADD_RULE, f->fd, PATH_BENEATH, &a, 0);
	close(fd);
	return done;
}

enum err landfence_enter(struct landfence *f)
{
	enum err e = syscall(RESTRICT_SELF, f->fd, 0) ? err_of_errno(errno) : ERR_OK;
	close(f->fd);
	f->fd = -1;
	return e;
}

#include "net/daemon/callgate.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
# define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__ORDER_LITTLE_ENDIAN__)
# define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef ARCH

/* mseal of Linux 6.10; from 424 on numbers are the same on every architecture. */
# define NUMBER_NEWEST 462u

static const unsigned refused[] = {
	/* other programs and processes */
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	SYS_pidfd_getfd,
	SYS_process_madvise,
	SYS_personality,
	SYS_memfd_create,
	SYS_setns,
	SYS_unshare,
	/* mounts */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_open_tree,
	SYS_move_mount,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	SYS_quotactl,
	SYS_quotactl_fd,
	SYS_swapon,
	SYS_swapoff,
	SYS_name_to_handle_at,
	SYS_open_by_handle_at,
	SYS_fanotify_init,
	SYS_mknodat,
	457 /* statmount */,
	458 /* listmount */,
	/* the kernel */
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_syslog,
	SYS_acct,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_vhangup,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	SYS_move_pages,
	SYS_migrate_pages,
	460 /* lsm_set_self_attr */,
	/* who we are */
	SYS_setuid,
	SYS_setgid,
	SYS_setreuid,
	SYS_setregid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setfsuid,
	SYS_setfsgid,
	SYS_setgroups,
	SYS_capset,
	/* memory and queues of others */
	SYS_shmget,
	SYS_shmat,
	SYS_shmctl,
	SYS_semget,
	SYS_semctl,
	SYS_semop,
	SYS_semtimedop,
	SYS_msgget,
	SYS_msgctl,
	SYS_msgsnd,
	SYS_msgrcv,
	SYS_mq_open,
	SYS_mq_unlink,
# ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
# endif
# ifdef __x86_64__
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_uselib,
	SYS__sysctl,
	SYS_create_module,
	SYS_get_kernel_syms,
	SYS_query_module,
	SYS_nfsservctl,
	SYS_ustat,
	SYS_sysfs,
	SYS_mknod,
	SYS_lookup_dcookie,
# endif
};
# define NAMESPACES                                                                                \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |    \
      CLONE_NEWNET)

# define LOAD(off)       BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (off))
# define LOAD_NR         LOAD(offsetof(struct seccomp_data, nr))
# define LOAD_ARG(i)     LOAD(offsetof(struct seccomp_data, args[i]))     /* its low half */
# define UNLESS_IS(v, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), 0, (n)) /* skip n */
# define IF_IS(v, n)     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), (n), 0)
# define UNLESS_ABOVE(v) BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (v), 0, 1)
# define UNLESS_BITS(v)  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (v), 0, 1)
# define SAY(errnum)     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (errnum))
# define LET             BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
# define KILL            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

/* clang-format off */
static const struct sock_filter begin[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	IF_IS(ARCH, 1),
	KILL,
	LOAD_NR,
	UNLESS_ABOVE(NUMBER_NEWEST), /* x32 has a high bit, and is above, too */
	SAY(ENOSYS),
};
/* Each returns when it is the call. */
static const struct sock_filter looked_at[] = {
	UNLESS_IS(SYS_clone3, 1),
	SAY(ENOSYS),
	UNLESS_IS(SYS_clone, 4),
	LOAD_ARG(0),
	UNLESS_BITS(NAMESPACES),
	SAY(EPERM),
	LET,
	UNLESS_IS(SYS_socket, 6),
	LOAD_ARG(0),
	IF_IS(AF_UNIX, 3),
	IF_IS(AF_INET, 2),
	IF_IS(AF_INET6, 1),
	SAY(EAFNOSUPPORT),
	LET,
	UNLESS_IS(SYS_ioctl, 5),
	LOAD_ARG(1),
	UNLESS_IS(TIOCSTI, 1),
	SAY(EPERM),
	UNLESS_IS(TIOCLINUX, 1),
	SAY(EPERM),
	LET,
};
/* clang-format on */
# define ROWS_MAX (COUNT_OF(begin) + 2 * COUNT_OF(refused) + COUNT_OF(looked_at))
STATIC(ROWS_MAX <= BPF_MAXINSNS);

static size_t add(struct sock_filter *to, size_t at, const struct sock_filter *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[at + i] = rows[i];
	return at + count;
}

enum err callgate_enter(void)
{
	struct sock_filter rows[ROWS_MAX];
	size_t n = add(rows, 0, begin, COUNT_OF(begin));
	for (size_t i = 0; i < COUNT_OF(refused); i++)
		n = add(rows, n, (struct sock_filter[]){ UNLESS_IS(refused[i], 1), SAY(EPERM) }, 2);
	n = add(rows, n, looked_at, COUNT_OF(looked_at));
	struct sock_fprog p = { .len = (unsigned short)n, .filter = rows };
	/*
	 * All threads. And no slow barriers against speculation, which older kernels add to a
	 * filtered process: no code of strangers runs here.
	 */
	unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p))
		return ERR_OK;
	return errno == ENOSYS || errno == EINVAL ? ERR_UNSUPPORTED : err_of_errno(errno);
}

#else

enum err callgate_enter(void)
{
	return ERR_UNSUPPORTED;
}

#endif

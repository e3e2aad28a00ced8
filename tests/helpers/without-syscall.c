/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * without-syscall cachestat|mincore ERRNO-NAME COMMAND... - runs a command on what looks like a kernel
 * that lacks a system call (ENOSYS), or denies it (EPERM). The filter is the kernel's own, seccomp, so
 * that all below the system call is real.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static int filter_out(unsigned number, unsigned error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char *argv[])
{
	unsigned number, error;

	if (argc < 4)
		goto usage;
	if (strcmp(argv[1], "cachestat") == 0)
		number = SYS_cachestat;
	else if (strcmp(argv[1], "mincore") == 0)
		number = SYS_mincore;
	else
		goto usage;
	if (strcmp(argv[2], "ENOSYS") == 0)
		error = ENOSYS;
	else if (strcmp(argv[2], "EPERM") == 0)
		error = EPERM;
	else
		goto usage;
	if (filter_out(number, error) < 0) {
		fprintf(stderr, "without-syscall: cannot filter: %s\n", strerror(errno));
		return 77;
	}
	execvp(argv[3], argv + 3);
	fprintf(stderr, "without-syscall: %s: %s\n", argv[3], strerror(errno));
	return 127;
usage:
	fprintf(stderr, "Usage: without-syscall cachestat|mincore ENOSYS|EPERM COMMAND...\n");
	return 2;
}

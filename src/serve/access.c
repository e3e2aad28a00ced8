/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve/access.h"
#include "util/array.h"
#include "util/util.h"

const char *access_rule_to_string(enum access_rule rule)
{
	static const char *const names[] = {
		[ACCESS_EVERYTHING] = "everything",
		[ACCESS_WRITABLE_DESCRIPTOR] = "writable-descriptor",
		[ACCESS_OWNER] = "owner",
		[ACCESS_PTRACE] = "ptrace",
		[ACCESS_LOCATE] = "locate",
	};

	return names[rule];
}

bool access_is_privileged(const struct access_policy *policy, const struct peer *peer)
{
	return peer->uid == 0 || (policy->have_group && peer_in_group(peer, policy->group));
}

void access_done(struct access *a)
{
	free(a->known);
	*a = (struct access){0};
}

/* O_PATH descriptors are open for nothing. */
static bool is_open_for_writing(int fd)
{
	int flags = fcntl(fd, F_GETFL), mode = flags & O_ACCMODE;

	return flags >= 0 && !(flags & O_PATH) && (mode == O_RDWR || mode == O_WRONLY);
}

int access_question(const struct access *a, const struct question *q, enum access_rule *ret_rule)
{
	if (a->privileged)
		return 0;
	if (q->method == METHOD_LOCATE) {
		*ret_rule = ACCESS_LOCATE;
		return -EPERM;
	}
	if (q->have_passed && !is_open_for_writing(q->fd)) {
		*ret_rule = ACCESS_WRITABLE_DESCRIPTOR;
		return -EPERM;
	}
	return 0;
}

/*
 * The credentials of a thread are its own for the kernel; only libc makes all threads change
 * theirs. So the calls are made as they are. Capabilities go first from what is in effect, and come
 * back from what is permitted.
 */
struct own_credentials {
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	int n_groups;
	bool same_groups; /* as the peer's: setgroups is for the privileged, even if nothing changes
			   */
};

static int set_effective(const struct __user_cap_data_struct *caps, bool any)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];

	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		now[i] = caps[i];
		if (!any)
			now[i].effective = 0;
	}
	return syscall(SYS_capset, &header, now) < 0 ? -errno : 0;
}

static void become_self(const struct own_credentials *own)
{
	/* A thread that stays somebody else must not go on. */
	if (set_effective(own->caps, true) < 0)
		abort();
	setfsuid(own->uid);
	setfsgid(own->gid);
	if ((uid_t)setfsuid((uid_t)-1) != own->uid || (gid_t)setfsgid((gid_t)-1) != own->gid ||
	    set_effective(own->caps, true) < 0 ||
	    (!own->same_groups && syscall(SYS_setgroups, own->n_groups, own->groups) < 0))
		abort();
}

static bool has_groups(const struct peer *peer, const struct own_credentials *own)
{
	size_t n = (size_t)own->n_groups;

	return peer->n_groups == n &&
	       (n == 0 || memcmp(peer->groups, own->groups, n * sizeof(*own->groups)) == 0);
}

/* Afterwards the thread is the peer; or, where that fails, what it was. */
static int become_peer(const struct peer *peer, struct own_credentials *own)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	int r = 0;

	own->n_groups = getgroups(ARRAY_SIZE(own->groups), own->groups);
	if (own->n_groups < 0 || syscall(SYS_capget, &header, own->caps) < 0)
		return -errno;
	own->same_groups = has_groups(peer, own);
	if (!own->same_groups && syscall(SYS_setgroups, peer->n_groups, peer->groups) < 0)
		return -errno;
	/* What was before comes back; -1 changes nothing. */
	own->gid = (gid_t)setfsgid(peer->gid);
	own->uid = (uid_t)setfsuid(peer->uid);
	if ((uid_t)setfsuid((uid_t)-1) != peer->uid || (gid_t)setfsgid((gid_t)-1) != peer->gid)
		r = -EPERM;
	if (r >= 0)
		r = set_effective(own->caps, false);
	if (r < 0)
		become_self(own);
	return r;
}

/* What is tried with the peer's credentials. Returns 0 or a negative errno. */
static int try_as_peer(const struct peer *peer, int (*try)(int fd), int fd)
{
	struct own_credentials own;
	int r = become_peer(peer, &own);

	if (r >= 0) {
		r = try(fd);
		become_self(&own);
	}
	return r == -EACCES ? -EPERM : r;
}

/*
 * To open a process's maps takes PTRACE_MODE_READ, and nothing else. Of one that has exited some
 * kernels let everybody open them, and there is nothing in them.
 */
static int try_maps(int dir)
{
	_cleanup_close_ int fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);
	ssize_t n;
	char c;

	if (fd < 0)
		return -errno;
	n = read(fd, &c, 1);
	if (n < 0)
		return -errno;
	return n == 0 ? -ESRCH : 0;
}

/*
 * The kernel lets each process look at itself whatever credentials its threads have: of the
 * service, which has other clients' objects open, it would always say yes.
 */
static bool is_own_thread(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)pid);
	return faccessat(AT_FDCWD, path, F_OK, 0) == 0 || errno != ENOENT;
}

static bool is_same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/*
 * The owner of a user namespace has all capabilities over the processes within, and by the owner
 * the kernel means the effective user. That is still us: of what is in containers that root has
 * made, it would always say yes. (To change that one too would let the peer meddle with the
 * thread's scheduling.) To be asked last, for a process never comes back to where it was.
 * Returns 0, -EPERM, or another negative errno.
 */
static int check_namespace(int dir)
{
	_cleanup_close_ int own = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC), top = -1;
	int ns = openat(dir, "ns/user", O_RDONLY | O_CLOEXEC);
	uid_t owner;

	if (own < 0 && errno == ENOENT)
		return 0; /* this kernel has none */
	while (ns >= 0 && !is_same_file(ns, own)) {
		closep(&top);
		top = ns;
		ns = ioctl(top, NS_GET_PARENT);
	}
	if (ns < 0)
		return -errno;
	close(ns);
	if (top < 0)
		return 0;
	if (ioctl(top, NS_GET_OWNER_UID, &owner) < 0)
		return -errno;
	return owner == geteuid() ? -EPERM : 0;
}

static int ask_kernel(const struct peer *peer, pid_t pid)
{
	_cleanup_close_ int dir = -1;
	char path[32];
	int r;

	if (is_own_thread(pid))
		return -EPERM;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = try_as_peer(peer, try_maps, dir);
	if (r >= 0)
		r = check_namespace(dir);
	return r == -ENOENT ? -ESRCH : r == -EACCES ? -EPERM : r;
}

/* As the kernel asks before it tells of residency: is the file writable, however it was opened? */
static int try_writing(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int access_process(struct access *a, pid_t pid)
{
	int r;

	if (a->privileged)
		return 0;
	for (size_t i = 0; i < a->n_known; i++)
		if (a->known[i].pid == pid)
			return a->known[i].readable ? 0 : -EPERM;
	r = ask_kernel(a->peer, pid);
	if (r < 0 && r != -EPERM)
		return r;
	if (ARRAY_RESERVE(&a->known, &a->n_allocated, a->n_known) < 0)
		return -ENOMEM;
	a->known[a->n_known++] = (struct access_known){pid, r == 0};
	return r;
}

int access_process_again(struct access *a, pid_t pid)
{
	return a->privileged ? 0 : ask_kernel(a->peer, pid);
}

/*
 * realpath() reads links and goes on by what they say, so that those of /proc lead to no file by
 * themselves. (openat2() has a flag for that, but RestrictSUIDSGID= in the unit forbids it.)
 */
int access_path(const struct peer *peer, const char *path)
{
	struct own_credentials own;
	char *real;
	int r = become_peer(peer, &own), fd = -1;

	if (r < 0)
		return r;
	real = realpath(path, NULL);
	if (real)
		fd = open(real, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : fd;
	become_self(&own);
	free(real);
	return r;
}

/* Through any process that the peer may read. */
static int reach(struct access *a, const struct object *o)
{
	int r = -EPERM;

	for (size_t i = 0; i < o->n_holders && (r == -EPERM || r == -ESRCH); i++)
		r = access_process(a, o->holders[i].pid);
	for (size_t i = 0; i < o->n_mappers && (r == -EPERM || r == -ESRCH); i++)
		r = access_process(a, o->mappers[i].pid);
	return r == -ESRCH ? -EPERM : r;
}

static bool is_owner(const struct peer *peer, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == peer->uid;
}

int access_object(struct access *a, const struct object *o)
{
	return a->privileged ? 0 : reach(a, o);
}

bool access_is_own(const struct access *a, int fd)
{
	return a->privileged || is_owner(a->peer, fd);
}

int access_states(struct access *a, const struct object *o, int fd)
{
	int r;

	if (access_is_own(a, fd))
		return 0;
	r = reach(a, o);
	return r < 0 ? r : try_as_peer(a->peer, try_writing, fd);
}

int access_strip(struct access *a, struct object *o)
{
	size_t n = 0, before = o->n_holders + o->n_mappers;

	if (a->privileged)
		return 0;
	for (size_t i = 0; i < o->n_holders; i++)
		if (access_process(a, o->holders[i].pid) == 0)
			o->holders[n++] = o->holders[i];
	o->n_holders = n;
	n = 0;
	for (size_t i = 0; i < o->n_mappers; i++)
		if (access_process(a, o->mappers[i].pid) == 0)
			o->mappers[n++] = o->mappers[i];
	o->n_mappers = n;
	return (int)(before - o->n_holders - o->n_mappers);
}

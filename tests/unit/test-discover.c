/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "discover/discover.h"

/* A tree that stands for /proc, and real files for its links to lead to. */
struct tree {
	char root[64];
	char file[64]; /* on a tmpfs; "" if there is none here */
	struct stat file_stat;
	int memfd;
	struct stat memfd_stat;
	struct kcaps caps;
	struct discovery d;
};

static void path_of(const struct tree *t, const char *name, char *buf, size_t size)
{
	assert_true(snprintf(buf, size, "%s/%s", t->root, name) < (int)size);
}

static void make_dir(const struct tree *t, const char *name)
{
	char path[128];

	path_of(t, name, path, sizeof(path));
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const struct tree *t, const char *name, const char *target)
{
	char path[128];

	path_of(t, name, path, sizeof(path));
	assert_int_equal(symlink(target, path), 0);
}

static void make_file(const struct tree *t, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	path_of(t, name, path, sizeof(path));
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));
	int fd;

	assert_non_null(t);
	*state = t;
	t->d.proc_fd = -1;
	strcpy(t->root, "/tmp/shmstate-unit-XXXXXX");
	strcpy(t->file, "/dev/shm/shmstate unit-XXXXXX");
	assert_non_null(mkdtemp(t->root));
	assert_int_equal(chmod(t->root, 0755), 0);
	assert_int_equal(kcaps_probe(&t->caps), 0);
	fd = mkstemp(t->file);
	if (fd >= 0) {
		assert_int_equal(ftruncate(fd, 12345), 0);
		assert_int_equal(fstat(fd, &t->file_stat), 0);
		close(fd);
	} else {
		t->file[0] = '\0';
	}
	t->memfd = memfd_create("shmstate-unit", MFD_CLOEXEC);
	assert_true(t->memfd >= 0);
	assert_int_equal(fstat(t->memfd, &t->memfd_stat), 0);
	return 0;
}

static int teardown(void **state)
{
	struct tree *t = *state;

	discovery_done(&t->d);
	close(t->memfd);
	if (t->file[0])
		unlink(t->file);
	nftw(t->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(t);
	return 0;
}

static void need_tmpfs(const struct tree *t)
{
	if (!t->file[0])
		skip();
}

static const struct object *find(const struct tree *t, dev_t dev, ino_t ino, int kind)
{
	const struct object *found = NULL;

	for (size_t i = 0; i < t->d.n_objects; i++) {
		const struct object *o = t->d.objects[i];

		if (o->id.dev != dev || o->id.ino != ino || (kind >= 0 && (int)o->kind != kind))
			continue;
		assert_null(found);
		found = o;
	}
	return found;
}

static void test_descriptors(void **state)
{
	struct tree *t = *state;
	const struct object *o;
	char link[64];

	need_tmpfs(t);
	make_dir(t, "7");
	make_dir(t, "7/fd");
	make_link(t, "7/fd/3", t->file);
	make_link(t, "7/fd/4", "/dev/null");
	make_link(t, "7/fd/5", "/proc/version"); /* a file, but no memory */
	make_link(t, "7/fd/6", "/nowhere");      /* closed meanwhile */
	make_link(t, "7/fd/7", t->file);
	make_link(t, "7/fd/x", t->file); /* no descriptor */
	make_link(t, "7/fd/08", "/proc");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", t->memfd);
	make_link(t, "7/fd/9", link);
	make_file(t, "7/maps", "");
	assert_int_equal(discover(&t->caps, t->root, 0, &t->d), 0);
	assert_int_equal(t->d.n_objects, 2);

	o = find(t, t->file_stat.st_dev, t->file_stat.st_ino, OBJECT_TMPFS);
	assert_non_null(o);
	assert_string_equal(o->name, t->file); /* with its blank */
	assert_true(o->have_size);
	assert_int_equal(o->size, 12345);
	assert_false(o->deleted);
	assert_int_equal(o->page_size, t->caps.page_size);
	assert_int_equal(o->n_holders, 2);
	assert_int_equal(o->holders[0].pid, 7);
	assert_int_equal(o->holders[0].fd + o->holders[1].fd, 10);
	assert_int_equal(object_count_processes(o), 1);

	/* The link says nothing of memfd:, but the device is the kernel's own. */
	o = find(t, t->memfd_stat.st_dev, t->memfd_stat.st_ino, OBJECT_SHMEM);
	assert_non_null(o);
	assert_int_equal(o->id.have_generation, kcaps_has(&t->caps, KCAP_GENERATION));
	assert_int_equal(t->d.n_denied_processes, 0);
	assert_int_equal(t->d.n_denied_mappings, 0);
}

static void test_mappings(void **state)
{
	struct tree *t = *state;
	const struct object *o;
	char maps[1024];

	need_tmpfs(t);
	make_dir(t, "8");
	make_dir(t, "8/fd");
	make_dir(t, "8/map_files");
	make_link(t, "8/map_files/1000-3000", t->file);
	make_link(t, "8/map_files/5000-6000", t->file);
	make_link(t, "8/map_files/a000-b000", "/proc/version");
	snprintf(maps, sizeof(maps),
		 "00001000-00003000 rw-s 00002000 %02x:%02x %llu    %s\n"
		 "not a line of maps\n"
		 "00005000-00006000 rw-p 00000000 %02x:%02x %llu    %s\n"
		 "00007000-00008000 rw-p 00000000 00:00 0 \n"
		 "00008000-00009000 rw-s 00000000 %02x:%02x %llu    %s\n" /* unmapped meanwhile */
		 "0000a000-0000b000 r--p 00000000 00:04 4026532029    /proc/version\n"
		 "0000c000-0000d000 rw-p 00000000 00:00 0    [heap]",
		 major(t->file_stat.st_dev), minor(t->file_stat.st_dev),
		 (unsigned long long)t->file_stat.st_ino, t->file, major(t->file_stat.st_dev),
		 minor(t->file_stat.st_dev), (unsigned long long)t->file_stat.st_ino, t->file,
		 major(t->file_stat.st_dev), minor(t->file_stat.st_dev),
		 (unsigned long long)t->file_stat.st_ino, t->file);
	make_file(t, "8/maps", maps);
	assert_int_equal(discover(&t->caps, t->root, 8, &t->d), 0);
	assert_int_equal(t->d.n_objects, 1);
	o = find(t, t->file_stat.st_dev, t->file_stat.st_ino, OBJECT_TMPFS);
	assert_non_null(o);
	assert_string_equal(o->name, t->file);
	assert_int_equal(o->n_holders, 0);
	assert_int_equal(o->n_mappers, 2);
	assert_int_equal(o->mappers[0].start, 0x1000);
	assert_int_equal(o->mappers[0].end, 0x3000);
	assert_int_equal(o->mappers[0].offset, 0x2000);
	assert_true(o->mappers[0].shared);
	assert_int_equal(o->mappers[1].start, 0x5000);
	assert_false(o->mappers[1].shared);
	assert_int_equal(t->d.n_denied_mappings, 0);
}

/* Processes come and go while /proc is read: none of these is an error. */
static void test_vanishing(void **state)
{
	struct tree *t = *state;

	make_dir(t, "10"); /* gone but for its name */
	make_dir(t, "11");
	make_dir(t, "11/fd"); /* no maps any more */
	make_dir(t, "12");
	make_file(t, "12/maps", "garbage\n\n00001000-00002000\n");
	make_link(t, "13", "/nowhere");
	make_dir(t, "self");
	make_dir(t, "0");
	make_dir(t, "99999999999");
	make_file(t, "uptime", "1 2\n");
	assert_int_equal(discover(&t->caps, t->root, 0, &t->d), 0);
	assert_int_equal(t->d.n_objects, 0);
	assert_int_equal(t->d.n_denied_processes, 0);
}

static void test_no_such_process(void **state)
{
	struct tree *t = *state;
	struct discovery d = {.proc_fd = -77};

	assert_int_equal(discover(&t->caps, t->root, 4711, &d), -ESRCH);
	assert_int_equal(discover(&t->caps, "/nowhere", 0, &d), -ENOENT);
	assert_int_equal(d.proc_fd, -77); /* untouched */
}

/* Kernel threads' descriptors cannot be read by anybody but root, which must count as no gap. */
static void test_kernel_threads(void **state)
{
	struct tree *t = *state;

	need_tmpfs(t);
	make_dir(t, "2");
	make_file(t, "2/stat", "2 (kthread) S 1 (x) S 0 0 0 0 -1 2129984 0 0 0 0\n");
	make_dir(t, "2/fd");
	make_link(t, "2/fd/3", t->file);
	make_dir(t, "3"); /* a process that calls itself so */
	make_file(t, "3/stat", "3 (x) S 0 0 0 0 -1 2129984 ) S 1 1 1 0 -1 4194560 0 0 0 0\n");
	make_dir(t, "3/fd");
	make_link(t, "3/fd/3", t->file);
	make_dir(t, "4");
	make_file(t, "4/stat", "garbage");
	assert_int_equal(discover(&t->caps, t->root, 0, &t->d), 0);
	assert_int_equal(t->d.n_objects, 1);
	assert_int_equal(t->d.objects[0]->n_holders, 1);
	assert_int_equal(t->d.objects[0]->holders[0].pid, 3);
}

static void test_sysv_segments(void **state)
{
	struct tree *t = *state;
	const struct object *o;

	make_dir(t, "sysvipc");
	make_file(t, "sysvipc/shm",
		  "       key      shmid perms                  size  cpid  lpid nattch   uid\n"
		  "         0          0  1600                  4096   123     0      0     0\n"
		  "        77      32769   600 18446744073692774399  12  13      0  1000\n"
		  "-559038737          5   600                  8192    12    13      1  1000\n"
		  "garbage\n");
	assert_int_equal(discover(&t->caps, t->root, 0, &t->d), 0);
	assert_int_equal(t->d.n_objects, 2); /* those attached are seen in maps */
	o = find(t, t->caps.shmem_dev, 0, OBJECT_SYSV);
	assert_non_null(o);
	assert_string_equal(o->name, "SYSV00000000");
	assert_int_equal(o->size, 4096);
	o = find(t, t->caps.shmem_dev, 32769, OBJECT_SYSV);
	assert_non_null(o);
	assert_string_equal(o->name, "SYSV0000004d");
	assert_int_equal(o->size, UINT64_C(18446744073692774399));
}

/* For one process nobody asks for the others' segments. */
static void test_sysv_not_for_one_process(void **state)
{
	struct tree *t = *state;

	make_dir(t, "9");
	make_dir(t, "sysvipc");
	make_file(t, "sysvipc/shm", "0 0 1600 4096 123 0 0 0 0\n");
	assert_int_equal(discover(&t->caps, t->root, 9, &t->d), 0);
	assert_int_equal(t->d.n_objects, 0);
}

/* Runs discover() as somebody without privilege; root lends itself to nobody for the time. */
static int discover_unprivileged(struct tree *t)
{
	bool root = geteuid() == 0;
	int r;

	if (root)
		assert_int_equal(seteuid(65534), 0);
	r = discover(&t->caps, t->root, 0, &t->d);
	if (root) {
		assert_int_equal(seteuid(0), 0);
		prctl(PR_SET_DUMPABLE, 1);
	}
	return r;
}

static void deny(const struct tree *t, const char *name)
{
	char path[128];

	path_of(t, name, path, sizeof(path));
	assert_int_equal(chmod(path, 0), 0);
}

static void allow(const struct tree *t, const char *name)
{
	char path[128];

	path_of(t, name, path, sizeof(path));
	assert_int_equal(chmod(path, 0755), 0);
}

static void test_denied_processes(void **state)
{
	struct tree *t = *state;
	int r;

	make_dir(t, "20"); /* both denied: one process */
	make_dir(t, "20/fd");
	make_file(t, "20/maps", "");
	deny(t, "20/fd");
	deny(t, "20/maps");
	make_dir(t, "21");
	make_dir(t, "21/fd");
	make_file(t, "21/maps", "");
	deny(t, "21/maps");
	make_dir(t, "22");
	make_dir(t, "22/fd");
	make_file(t, "22/maps", "");
	r = discover_unprivileged(t);
	allow(t, "20/fd");
	assert_int_equal(r, 0);
	assert_int_equal(t->d.n_denied_processes, 2);
	assert_int_equal(t->d.n_objects, 0);
}

/* map_files can be listed and read, but not followed: the device and the path have to do. */
static void test_denied_mappings(void **state)
{
	struct tree *t = *state;
	unsigned dev_major = major(t->caps.shmem_dev), dev_minor = minor(t->caps.shmem_dev);
	const struct object *memfd, *segment;
	char maps[1024];
	int r;

	snprintf(maps, sizeof(maps),
		 "00001000-00003000 rw-s 00000000 %02x:%02x 5    /memfd:a\\012b (deleted)\n"
		 "00004000-00005000 rw-s 00000000 %02x:%02x 5    /SYSV00000001 (deleted)\n"
		 "00006000-00007000 rw-s 00000000 %02x:%02x 0    /SYSV00000000 (deleted)\n"
		 "00008000-00009000 rw-s 00000000 %02x:%02x 6    /dev/zero (deleted)\n"
		 "0000a000-0000b000 r--p 00000000 fe:fe 7    /elsewhere\n",
		 dev_major, dev_minor, dev_major, dev_minor, dev_major, dev_minor, dev_major,
		 dev_minor);
	make_dir(t, "30");
	make_dir(t, "30/fd");
	make_dir(t, "30/map_files");
	make_file(t, "30/maps", maps);
	deny(t, "30/map_files");
	r = discover_unprivileged(t);
	allow(t, "30/map_files");
	assert_int_equal(r, 0);
	assert_int_equal(t->d.n_denied_mappings, 1); /* /elsewhere may be anything */
	assert_int_equal(t->d.n_denied_processes, 0);
	assert_int_equal(t->d.n_objects, 4);

	memfd = find(t, t->caps.shmem_dev, 5, OBJECT_MEMFD);
	segment = find(t, t->caps.shmem_dev, 5, OBJECT_SYSV);
	assert_non_null(memfd);
	assert_non_null(segment);
	assert_string_equal(memfd->name, "a\nb");
	assert_true(memfd->has_twin && segment->has_twin);
	assert_false(memfd->have_size);
	assert_non_null(find(t, t->caps.shmem_dev, 0, OBJECT_SYSV)); /* shmid 0 */
	assert_non_null(find(t, t->caps.shmem_dev, 6, OBJECT_ANON));
}

/* The real /proc, and this very process: no privilege is needed for that. */
static void test_ourselves(void **state)
{
	struct tree *t = *state;
	char *shared, *segment;
	const struct object *o;
	int shmid;

	assert_int_equal(ftruncate(t->memfd, 8192), 0);
	shared = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, t->memfd, 4096);
	assert_true(shared != MAP_FAILED);
	shmid = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	segment = shmid >= 0 ? shmat(shmid, NULL, 0) : (void *)-1;
	assert_int_equal(discover(&t->caps, "/proc", getpid(), &t->d), 0);
	if (segment != (void *)-1) {
		shmdt(segment);
		shmctl(shmid, IPC_RMID, NULL);
	}
	munmap(shared, 8192);

	o = find(t, t->memfd_stat.st_dev, t->memfd_stat.st_ino, OBJECT_MEMFD);
	assert_non_null(o);
	assert_string_equal(o->name, "shmstate-unit");
	assert_int_equal(o->size, 8192);
	assert_int_equal(o->n_holders, 1);
	assert_int_equal(o->holders[0].fd, t->memfd);
	assert_int_equal(o->n_mappers, 1);
	assert_int_equal(o->mappers[0].start, (uintptr_t)shared);
	assert_int_equal(o->mappers[0].offset, 4096);
	assert_false(o->mappers[0].shared);
	if (segment != (void *)-1) {
		o = find(t, t->caps.shmem_dev, (ino_t)shmid, OBJECT_SYSV);
		assert_non_null(o);
		assert_int_equal(o->n_mappers, 1);
		assert_true(o->mappers[0].shared);
	}
	assert_int_equal(t->d.n_denied_processes, 0);
}

#define TREE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TREE_TEST(test_descriptors),
		TREE_TEST(test_mappings),
		TREE_TEST(test_vanishing),
		TREE_TEST(test_no_such_process),
		TREE_TEST(test_kernel_threads),
		TREE_TEST(test_sysv_segments),
		TREE_TEST(test_sysv_not_for_one_process),
		TREE_TEST(test_ourselves),
		TREE_TEST(test_denied_processes),
		TREE_TEST(test_denied_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

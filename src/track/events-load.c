/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>

#include "track/events-inside.h"
#include "util/util.h"

#include "bpf/track_all.skel.h"
#include "bpf/track_plain.skel.h"
#include "bpf/track_swap_out.skel.h"

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

/* Programs that hear functions of the kernel. Of one writer a kernel has one function. */
static const struct {
	const char *name;
	const char *function;
	enum track_writer writer;
	int rank; /* 0: there is no level without; else what is left out first has the highest */
} programs[] = {
	{"track_writepage", "shmem_writepage", TRACK_SWAP_OUT, 0},
	{"track_writeout", "shmem_writeout", TRACK_SWAP_OUT, 0},
	{"track_insert", "shmem_add_to_page_cache", TRACK_INSERT, 0},
	{"track_remove", "shmem_undo_range", TRACK_REMOVE, 0},
	{"track_swap_in", "shmem_swapin_folio", TRACK_SWAP_IN, 2},
	{"track_swapoff", "shmem_unuse_inode", TRACK_SWAPOFF, 1},
	{"track_collapse", "collapse_file", TRACK_COLLAPSE, 1},
};

#define RANKS 3

/* Library code prints nothing: what went wrong is in errno. */
static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

int events_attach(int program)
{
	int fd = bpf_raw_tracepoint_open(NULL, program);

	return fd < 0 ? -errno : fd;
}

static int keep(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int keep_map(struct bpf_object *object, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? keep(bpf_map__fd(map)) : -1;
}

/* Attached once, for it may be refused there only. Returns a descriptor, or a negative errno. */
static int keep_program(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	int fd = program ? bpf_program__fd(program) : -ENOENT, link;

	if (fd < 0)
		return -EOPNOTSUPP;
	link = events_attach(fd);
	if (link < 0)
		return link;
	close(link);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* The libraries' own structures are not kept: they take a hundred times as much. */
static int keep_common(struct bpf_object *object, struct events_kernel *k)
{
	struct bpf_program *flush = bpf_object__find_program_by_name(object, "track_flush");

	k->flush = keep(flush ? bpf_program__fd(flush) : -1);
	k->ring = keep_map(object, "ring");
	k->batches = keep_map(object, "batches");
	return k->flush < 0 || k->ring < 0 || k->batches < 0 ? -EMFILE : 0;
}

static int size_batches(struct bpf_object *object, unsigned cpus)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, "batches");

	return map ? bpf_map__set_max_entries(map, cpus * TRACK_WRITERS) : -ENOENT;
}

/* Which of the functions there are: what is asked for and is not there makes the whole fail. */
static int choose_programs(struct bpf_object *object, const struct btf *btf, int rank)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(object, programs[i].name);
		bool is = btf__find_by_name_kind(btf, programs[i].function, BTF_KIND_FUNC) >= 0 &&
			  programs[i].rank <= rank;
		int r = program ? bpf_program__set_autoload(program, is) : -ENOENT;

		if (r < 0)
			return r;
	}
	return 0;
}

static int keep_functions(struct bpf_object *object, struct events_kernel *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		int *fd = &k->programs[programs[i].writer], r;

		if (*fd >= 0)
			continue;
		r = keep_program(object, programs[i].name);
		if (r >= 0)
			*fd = r;
		else if (r != -EOPNOTSUPP && programs[i].rank == 0)
			return r;
	}
	k->objects = keep_map(object, "objects");
	if (k->objects < 0)
		return -EMFILE;
	if (k->programs[TRACK_SWAP_OUT] < 0 || k->programs[TRACK_INSERT] < 0 ||
	    k->programs[TRACK_REMOVE] < 0)
		return -EOPNOTSUPP;
	return 0;
}

static int load_functions(const struct btf *btf, int rank, struct events_kernel *k)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = KERNEL_BTF);
	struct track_all_bpf *all = track_all_bpf__open_opts(&options);
	int r;

	if (!all)
		return -errno;
	all->bss->page_shift = (uint64_t)__builtin_ctzl((unsigned long)getpagesize());
	r = choose_programs(all->obj, btf, rank);
	if (r >= 0)
		r = size_batches(all->obj, k->cpus);
	if (r >= 0)
		r = track_all_bpf__load(all);
	if (r >= 0)
		r = keep_common(all->obj, k);
	if (r >= 0)
		r = keep_functions(all->obj, k);
	track_all_bpf__destroy(all);
	return r;
}

/*
 * Whether functions may be heard at all, by a program that does nothing: it takes a quarter of the
 * time that loading the others does. Returns 0 or a negative errno.
 */
static int try_function(const struct btf *btf)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_FENTRY);
	struct bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int id = btf__find_by_name_kind(btf, "shmem_undo_range", BTF_KIND_FUNC), link;
	_cleanup_close_ int program = -1;

	if (id < 0)
		return -EOPNOTSUPP;
	options.attach_btf_id = (uint32_t)id;
	program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "nothing", "GPL", instructions,
				ARRAY_SIZE(instructions), &options);
	link = program < 0 ? program : events_attach(program);
	if (link >= 0)
		close(link);
	return MIN(link, 0);
}

static int load_all(struct events_kernel *k)
{
	struct btf *btf = btf__parse(KERNEL_BTF, NULL);
	int refused = btf ? try_function(btf) : -errno, r = refused ? refused : -EINVAL;

	/* One of those that it would do without may be why it is refused. */
	for (int rank = RANKS - 1; !refused && rank >= 0 && r < 0; rank--) {
		r = load_functions(btf, rank, k);
		if (k->flush >= 0)
			break;
	}
	btf__free(btf);
	return r;
}

/* With and without what needs the cast: see walker.c. User space sees no difference. */
static int load_tracepoint(bool cast, struct events_kernel *k)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = KERNEL_BTF);
	struct track_swap_out_bpf *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = track_swap_out_bpf__create_skeleton(s);
	if (r == 0 && !cast)
		s->skeleton->data = (void *)track_plain_bpf__elf_bytes(&s->skeleton->data_sz);
	if (r == 0)
		r = bpf_object__open_skeleton(s->skeleton, &options);
	if (r == 0)
		r = size_batches(s->obj, k->cpus);
	if (r == 0)
		r = track_swap_out_bpf__load(s);
	if (r == 0)
		r = keep_common(s->obj, k);
	if (r >= 0)
		r = keep_program(s->obj, "track_swap_out");
	if (r >= 0)
		k->programs[TRACK_SWAP_OUT] = r;
	track_swap_out_bpf__destroy(s);
	return r < 0 ? r : 0;
}

static int load_swap_out(struct events_kernel *k)
{
	int r = load_tracepoint(true, k);

	return r == -EINVAL ? load_tracepoint(false, k) : r;
}

int events_load(enum events_level level, struct events_kernel *ret)
{
	libbpf_print_fn_t printing = libbpf_set_print(print_nothing);
	int cpus = libbpf_num_possible_cpus(), r = cpus;
	struct events_kernel k = {.cpus = (unsigned)MAX(cpus, 1)};

	k.flush = k.ring = k.batches = k.objects = -1;
	for (int i = 0; i < TRACK_WRITERS; i++)
		k.programs[i] = -1;
	if (r >= 0)
		r = level == EVENTS_ALL ? load_all(&k) : load_swap_out(&k);
	libbpf_set_print(printing);
	if (r < 0) {
		events_unload(&k);
		return r;
	}
	*ret = k;
	return 0;
}

void events_unload(struct events_kernel *k)
{
	int *fds[] = {&k->flush, &k->ring, &k->batches, &k->objects};

	for (int i = 0; i < TRACK_WRITERS; i++)
		closep(&k->programs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		closep(fds[i]);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "ctl/pageout.h"
#include "ctl/report.h"
#include "discover/discover.h"
#include "util/text.h"

static void pageout_done(struct pageout *p)
{
	victim_done(&p->victim);
	range_list_done(&p->ranges);
	p->source = source_close(p->source);
	free(p->round);
}

static int check_swap(void)
{
	struct sysinfo info;

	if (sysinfo(&info) < 0)
		return failed("cannot tell whether there is swap: %s", text_error(-errno));
	if (info.totalswap == 0)
		return failed("no swap is on: nothing can be paged out");
	return 0;
}

/* The pages that the options name, before anything is looked at. */
static int read_ranges(struct pageout *p)
{
	const struct options *o = p->options;
	struct page_range range = ALL_PAGES;
	int r;

	if (o->ranges_file)
		return range_list_read(o->ranges_file, &p->ranges);
	r = options_page_range(o, &range);
	if (r != 0)
		return r;
	return range_list_add(&p->ranges, range) < 0 ? out_of_memory() : 0;
}

/* Those that the object has not got are an error, as in dump. */
static int check_ranges(struct pageout *p, uint64_t pages)
{
	const struct options *o = p->options;
	struct range_list *l = &p->ranges;
	const struct page_range *last = l->n_items > 0 ? &l->items[l->n_items - 1] : NULL;
	char id[OBJECT_ID_MAX];

	if (l->have_id && !object_id_match(&l->id, &p->object->id))
		return failed("--ranges=%s: they are of object %s", o->ranges_file,
			      object_id_format(&l->id, true, id));
	if (!o->ranges_file && !o->range) {
		l->items[0].count = pages;
		l->n_items = pages > 0;
	} else if (last && last->first + last->count > pages) {
		return failed("--range%s=%s: pages %" PRIu64 "+%" PRIu64 ": the object has %" PRIu64
			      " pages",
			      o->ranges_file ? "s" : "", o->ranges_file ? o->ranges_file : o->range,
			      last->first, last->count, pages);
	}
	p->asked = range_list_pages(l);
	return 0;
}

/*
 * The process that maps the object shared, or that of several which --pid names. 0: none, or
 * several; then *ret_n says how many.
 */
static pid_t find_process(const struct pageout *p, size_t *ret_n)
{
	const struct object *o = p->object;
	pid_t pid = 0, named = 0;
	size_t n = 0;

	for (size_t i = 0; i < o->n_mappers; i++) {
		const struct object_mapper *m = &o->mappers[i];
		bool known = !m->shared;

		for (size_t k = 0; k < i && !known; k++)
			known = o->mappers[k].shared && o->mappers[k].pid == m->pid;
		if (known)
			continue;
		n++;
		pid = m->pid;
		if (m->pid == p->options->selector.pid)
			named = m->pid;
	}
	*ret_n = n;
	return n == 1 ? pid : named;
}

static int choose_process(struct pageout *p, pid_t *ret)
{
	char id[OBJECT_ID_MAX];
	size_t n;

	*ret = find_process(p, &n);
	if (*ret > 0)
		return 0;
	object_id_text(p->object, id);
	if (n > 0)
		return failed("%s: %zu processes map it: name the one to page it out of by --pid "
			      "(show lists them)",
			      id, n);
	source_report_gaps(p->source);
	return failed("%s: no process maps it shared: only what is mapped can be paged out", id);
}

static int open_victim(struct pageout *p, pid_t pid)
{
	int r = victim_open(pid, &p->object->id, p->page_size, &p->victim);

	if (r == -ESRCH)
		return failed("process %d has ended", (int)pid);
	if (r < 0)
		return failed("process %d: %s", (int)pid, text_error(r));
	r = victim_try(&p->victim);
	if (r == -ENOSYS)
		return failed("this kernel has no process_madvise(2) to page out with");
	if (r == -EPERM || r == -EACCES)
		return failed("process %d: paging out of it is not permitted: needs CAP_SYS_NICE, "
			      "and what ptrace needs to read it",
			      (int)pid);
	if (p->victim.huge_pages > ROUND_PAGES)
		p->victim.huge_pages = 0; /* then they are cut */
	return r < 0 ? failed("process %d: %s", (int)pid, text_error(r)) : 0;
}

/*
 * From now on the object is asked about by its id: what the options say of a process may be true
 * of another object by then. The states are all that is wanted.
 */
static void look_by_id(struct pageout *p)
{
	struct options *o = &p->looking;

	o->selector = (struct selector){.have_id = true, .id = p->object->id};
	o->range = NULL;
	o->format = FORMAT_CSV;
	o->json = JSON_OFF;
}

static int find_object(struct pageout *p)
{
	_cleanup_(snapshot_done) struct snapshot s = {0};
	_cleanup_free_ char *reason = NULL;
	char id[OBJECT_ID_MAX];
	int r = source_show(p->source, &p->object, &s, &reason);

	if (r != 0)
		return r;
	if (reason)
		return failed("%s: %s", object_id_text(p->object, id), reason);
	p->page_size = s.page_size;
	return check_ranges(p, size_to_pages(s.size, s.page_size));
}

static int prepare(struct pageout *p)
{
	pid_t pid = 0;
	int r = read_ranges(p);

	if (r == 0)
		r = check_swap();
	if (r == 0)
		r = source_open(&p->looking, &p->source);
	if (r == 0)
		r = find_object(p);
	if (r == 0)
		r = choose_process(p, &pid);
	if (r == 0)
		r = open_victim(p, pid);
	if (r != 0)
		return r;
	look_by_id(p);
	p->segment_locked = p->object->kind == OBJECT_SYSV &&
			    sysv_is_locked(p->victim.proc_fd, p->object->id.ino) > 0;
	p->round = malloc(sizeof(*p->round));
	return p->round ? 0 : out_of_memory();
}

int verb_pageout(const struct options *o)
{
	_cleanup_(pageout_done) struct pageout p = {
		.options = o, .looking = *o, .victim = VICTIM_NONE};
	int reported, r = prepare(&p);

	if (r != 0)
		return r;
	r = pageout_run(&p);
	pageout_print(&p);
	reported = pageout_report(&p);
	return r != 0 ? r : reported;
}

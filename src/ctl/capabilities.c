/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "ctl/json.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "util/text.h"
#include "view/reasons.h"

struct cap_row {
	enum kcap cap;
	int error;
	char reason[REASON_MAX];
};

#define ROW(row) ((const struct cap_row *)(row))

static struct cell cell_name(const void *row)
{
	return cell_text(kcap_to_string(ROW(row)->cap));
}

static struct cell cell_works(const void *row)
{
	return (struct cell){.type = CELL_BOOL, .number = ROW(row)->error == 0};
}

static struct cell cell_purpose(const void *row)
{
	return cell_text(kcap_purpose(ROW(row)->cap));
}

static struct cell cell_reason(const void *row)
{
	return cell_text(ROW(row)->reason[0] ? ROW(row)->reason : NULL);
}

static const struct column columns[] = {
	{"CAPABILITY", "capability", false, false, 0, cell_name},
	{"WORKS", "works", false, false, 0, cell_works},
	{"TELLS", "tells", false, false, 0, cell_purpose},
	{"REASON", "reason", false, false, 0, cell_reason},
};

static void fill_rows(const struct kcaps *caps, struct cap_row rows[KCAP_MAX])
{
	for (int i = 0; i < KCAP_MAX; i++) {
		enum kcap cap = (enum kcap)i;

		rows[i] = (struct cap_row){.cap = cap, .error = caps->error[i]};
		reason_of_capability(caps, cap, rows[i].reason);
	}
}

static const char *probe_name(const struct kcaps *caps)
{
	return kcaps_has(caps, KCAP_WALK) ? "walk" : "portable";
}

static void print_json(const struct options *o, const struct table *t, const struct kcaps *caps,
		       const struct utsname *name, const struct cap_row *rows)
{
	struct json_object *j = json_object_new_object(), *array = json_object_new_array();

	json_object_object_add(j, "kernel", json_object_new_string(name->release));
	json_object_object_add(j, "machine", json_object_new_string(name->machine));
	json_object_object_add(j, "pageSize", json_object_new_int64((int64_t)caps->page_size));
	json_object_object_add(j, "probe", json_object_new_string(probe_name(caps)));
	for (int i = 0; i < KCAP_MAX; i++)
		json_object_array_add(array, table_json_row(t, o, &rows[i]));
	json_object_object_add(j, "capabilities", array);
	json_print(o->json, j);
}

int verb_capabilities(const struct options *o)
{
	struct cap_row rows[KCAP_MAX];
	struct prober prober;
	struct utsname name;
	struct kcaps caps;
	struct table t;
	int r = table_init(&t, columns, ARRAY_SIZE(columns), o);

	if (r != 0)
		return r;
	r = kcaps_probe(&caps);
	if (r < 0)
		return failed("cannot make a memfd to try the kernel on: %s", text_error(r));
	prober_open(&prober, &caps, PROBE_AUTO);
	prober_tell(&prober, &caps);
	prober_done(&prober);
	uname(&name);
	fill_rows(&caps, rows);
	pager_open(o->no_pager);
	if (o->format == FORMAT_JSON) {
		print_json(o, &t, &caps, &name, rows);
		return 0;
	}
	for (int i = 0; i < KCAP_MAX; i++)
		table_measure(&t, &rows[i]);
	if (!o->no_legend)
		printf("Kernel %s (%s), pages of %llu bytes, probe: %s\n\n", name.release,
		       name.machine, (unsigned long long)caps.page_size, probe_name(&caps));
	if (!o->no_legend)
		table_print_header(&t);
	for (int i = 0; i < KCAP_MAX; i++)
		table_print_row(&t, &rows[i]);
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "ctl/bitmap.h"
#include "ctl/json.h"
#include "ctl/summary.h"
#include "ctl/table.h"

/* A row with a cell of each type. */
struct row {
	const char *name; /* NULL: could not be had */
	uint64_t number;
	uint64_t bytes;
	uint64_t address;
	bool flag;
	bool have_bytes;
};

#define ROW(p) ((const struct row *)(p))

static struct cell cell_name(const void *row)
{
	return cell_text(ROW(row)->name);
}

static struct cell cell_count(const void *row)
{
	return cell_number(ROW(row)->number);
}

static struct cell cell_size(const void *row)
{
	return ROW(row)->have_bytes ? cell_bytes(ROW(row)->bytes) : (struct cell){0};
}

static struct cell cell_start(const void *row)
{
	return (struct cell){.type = CELL_ADDRESS, .number = ROW(row)->address};
}

static struct cell cell_flag(const void *row)
{
	return (struct cell){.type = CELL_BOOL, .number = ROW(row)->flag};
}

static const struct column columns[] = {
	{"COUNT", "count", true, false, 0, cell_count},
	{"SIZE", "size", true, false, 0, cell_size},
	{"START", "startAddress", true, true, 12, cell_start},
	{"FLAG", "flag", false, true, 0, cell_flag},
	{"NAME", "name", false, false, 0, cell_name},
};

static const struct row rows[] = {
	{"plain", 7, 1536, 0x7f0000000000, true, true},
	{"a, \"b\"", 123456, 0, 0x1000, false, true},
	{NULL, 0, 0, 0, false, false},
};

/* Prints all rows in a format; what it printed is compared. */
struct printing {
	const struct options *options;
	bool csv, json;
};

static int print_rows(void *context)
{
	const struct printing *p = context;
	struct table t;
	int r = table_init(&t, columns, ARRAY_SIZE(columns), p->options);

	if (r != 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		table_measure(&t, &rows[i]);
	if (p->csv && !p->options->no_legend)
		csv_print_header(&t);
	else if (!p->json && !p->options->no_legend)
		table_print_header(&t);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (p->json)
			json_print(JSON_SHORT, table_json_row(&t, p->options, &rows[i]));
		else if (p->csv)
			csv_print_row(&t, &rows[i]);
		else
			table_print_row(&t, &rows[i]);
	}
	return 0;
}

static void check_output(int (*f)(void *context), void *context, int code, const char *expected_out,
			 const char *expected_err)
{
	char *out, *err;
	int r = capture(f, context, &out, NULL, &err);

	assert_string_equal(err, expected_err);
	assert_string_equal(out, expected_out);
	assert_int_equal(r, code);
	free(out);
	free(err);
}

static void check_rows(struct printing p, const char *expected)
{
	check_output(print_rows, &p, 0, expected, "");
}

static void test_table(void **state)
{
	struct options o = {0}, bytes = {.bytes = true}, bare = {.no_legend = true};
	struct options chosen = {.columns = "name,START,flag"};

	(void)state;
	check_rows((struct printing){.options = &o}, " COUNT SIZE NAME\n"
						     "     7 1.5K plain\n"
						     "123456    0 a, \"b\"\n"
						     "     0    - -\n");
	check_rows((struct printing){.options = &bytes}, " COUNT SIZE NAME\n"
							 "     7 1536 plain\n"
							 "123456    0 a, \"b\"\n"
							 "     0    - -\n");
	check_rows((struct printing){.options = &bare}, "     7 1.5K plain\n"
							"123456    0 a, \"b\"\n"
							"     0    - -\n");
	check_rows((struct printing){.options = &chosen}, "NAME          START FLAG\n"
							  "plain  7f0000000000 yes\n"
							  "a, \"b\"         1000 no\n"
							  "-                 0 no\n");
}

/* What could not be had is an empty field; sizes are bytes; quotes as in RFC 4180. */
static void test_csv(void **state)
{
	struct options o = {.format = FORMAT_CSV};
	struct options all = {.format = FORMAT_CSV, .columns = "count,size,start,flag,name"};
	struct options bare = {.format = FORMAT_CSV, .no_legend = true, .columns = "name"};

	(void)state;
	check_rows((struct printing){&o, .csv = true}, "count,size,name\n"
						       "7,1536,plain\n"
						       "123456,0,\"a, \"\"b\"\"\"\n"
						       "0,,\n");
	check_rows((struct printing){&all, .csv = true}, "count,size,startAddress,flag,name\n"
							 "7,1536,7f0000000000,yes,plain\n"
							 "123456,0,1000,no,\"a, \"\"b\"\"\"\n"
							 "0,,0,no,\n");
	check_rows((struct printing){&bare, .csv = true}, "plain\n\"a, \"\"b\"\"\"\n\n");
}

/* All columns unless some are chosen; null is not 0, and not "". */
static void test_json_rows(void **state)
{
	struct options o = {.format = FORMAT_JSON},
		       chosen = {.format = FORMAT_JSON, .columns = "size"};

	(void)state;
	check_rows((struct printing){&o, .json = true},
		   "{\"count\":7,\"size\":1536,\"startAddress\":139637976727552,\"flag\":true,"
		   "\"name\":\"plain\"}\n"
		   "{\"count\":123456,\"size\":0,\"startAddress\":4096,\"flag\":false,"
		   "\"name\":\"a, \\\"b\\\"\"}\n"
		   "{\"count\":0,\"size\":null,\"startAddress\":0,\"flag\":false,\"name\":null}\n");
	check_rows((struct printing){&chosen, .json = true},
		   "{\"size\":1536}\n{\"size\":0}\n{\"size\":null}\n");
}

#define EXPECTED_COLUMNS "expected COUNT, SIZE, START, FLAG, NAME\n"

static void check_columns(const char *names, const char *error)
{
	struct options o = {.columns = names};
	struct printing p = {.options = &o};

	check_output(print_rows, &p, EXIT_USAGE, "", error);
}

static void test_bad_columns(void **state)
{
	(void)state;
	check_columns("nil", "shmstatectl: --output: \"nil\" is no column; " EXPECTED_COLUMNS);
	check_columns("", "shmstatectl: --output: \"\" is no column; " EXPECTED_COLUMNS);
	check_columns("name,", "shmstatectl: --output: \"\" is no column; " EXPECTED_COLUMNS);
	check_columns("name,,size", "shmstatectl: --output: \"\" is no column; " EXPECTED_COLUMNS);
	check_columns("name,nam", "shmstatectl: --output: \"nam\" is no column; " EXPECTED_COLUMNS);
	check_columns("names", "shmstatectl: --output: \"names\" is no column; " EXPECTED_COLUMNS);
	check_columns("name size",
		      "shmstatectl: --output: \"name size\" is no column; " EXPECTED_COLUMNS);
	check_columns("name,name,name,name,name,name,name,name,name,name,name,name,name,name,name,"
		      "name,name,name,name,name,name,name,name,name,name",
		      "shmstatectl: --output: more than 24 columns\n");
}

static int add_extent(struct snapshot *s, uint64_t count, enum page_state state)
{
	int r;

	s->map.first = s->first;
	r = state_map_append(&s->map, count, state);
	s->count += count;
	s->counts[state] += count;
	return r;
}

struct bitmap_case {
	const struct snapshot *snapshot;
	page_state_mask states;
};

static int print_bitmap(void *context)
{
	const struct bitmap_case *c = context;

	return bitmap_print(c->snapshot, c->states);
}

static void check_bitmap(const struct snapshot *s, page_state_mask states)
{
	struct bitmap_case c = {s, states};
	size_t size = 0, expected_size = (s->count + 7) / 8;
	unsigned char *expected = calloc(1, expected_size + 1);
	char *out;

	for (uint64_t i = 0; i < s->count; i++)
		if (states & PAGE_STATE_BIT(state_map_get(&s->map, s->first + i)))
			expected[i / 8] |= (unsigned char)(1u << i % 8);
	assert_int_equal(capture(print_bitmap, &c, &out, &size, NULL), 0);
	assert_int_equal(size, expected_size);
	assert_memory_equal(out, expected, expected_size);
	free(out);
	free(expected);
}

static void test_bitmap(void **state)
{
	struct snapshot s = {.first = 3};
	struct bitmap_case c = {&s, PAGE_STATE_BIT(PAGE_SWAPPED)};
	size_t size;
	char *out;

	(void)state;
	add_extent(&s, 2, PAGE_HOLE);
	add_extent(&s, 3, PAGE_SWAPPED);
	add_extent(&s, 4, PAGE_PRESENT);
	add_extent(&s, 1, PAGE_SWAPPED);
	/* Page 3 of the object is bit 0: 00111000 01, the lowest bit first. */
	assert_int_equal(capture(print_bitmap, &c, &out, &size, NULL), 0);
	assert_int_equal(size, 2);
	assert_int_equal((unsigned char)out[0], 0x1c);
	assert_int_equal((unsigned char)out[1], 0x02);
	free(out);
	snapshot_done(&s);
	check_bitmap(&s, ~(page_state_mask)0); /* empty */
}

static void test_random_bitmaps(void **state)
{
	struct random random = {.state = 5};

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct snapshot s = {.first = random_below(&random, 100)};
		uint64_t n = random_below(&random, 30);

		while (n-- > 0)
			assert_int_equal(
				add_extent(&s, 1 + random_below(&random, 40),
					   (enum page_state)random_below(&random, PAGE_STATE_MAX)),
				0);
		check_bitmap(&s, (page_state_mask)random_below(&random, 256));
		snapshot_done(&s);
	}
}

static struct snapshot example(void)
{
	struct snapshot s = {
		.page_size = 4096,
		.size = 12289,
		.probe = "portable",
		.sources = SOURCE_SEEK | SOURCE_CACHESTAT,
		.reasons = SNAPSHOT_POISON_UNPLACED,
		.moved = 1,
	};

	add_extent(&s, 1, PAGE_PRESENT);
	add_extent(&s, 2, PAGE_UNKNOWN);
	add_extent(&s, 1, PAGE_SWAPPED);
	return s;
}

/* As dump prints: a head, then the extents, one by one. */
static int print_stream(void *context)
{
	enum json_mode mode = *(enum json_mode *)context;
	struct object o = {.kind = OBJECT_MEMFD, .name = (char *)"a[b\n", .page_size = 4096};
	struct options options = {.columns = "count,flag"};
	struct snapshot s = example();
	struct json_object *j = json_of_object(&o);
	struct json_stream stream;
	struct table t;

	table_init(&t, columns, ARRAY_SIZE(columns), &options);
	json_add_snapshot(j, &s, ~(page_state_mask)0);
	json_stream_open(&stream, mode, j, "extents");
	json_stream_item(&stream, table_json_row(&t, &options, &rows[0]));
	json_stream_item(&stream, table_json_row(&t, &options, &rows[1]));
	json_stream_close(&stream);
	snapshot_done(&s);
	return 0;
}

static const char stream_text[] =
	"{\"object\":\"00:00:0\",\"kind\":\"memfd\",\"name\":\"a[b\\\\x0a\",\"deleted\":false,"
	"\"size\":12289,\"pageSize\":4096,\"swappable\":true,\"range\":{\"first\":0,\"count\":4},"
	"\"probe\":\"portable\",\"interfaces\":[\"seek\",\"cachestat\"],\"noWalk\":null,\"stable\":false,"
	"\"movedPages\":1,\"incomplete\":true,\"reasons\":["
	"\"some swapped pages were poisoned by a failed swap-in, not known which\"],"
	"\"counts\":{\"hole\":0,\"allocated\":0,\"present\":1,\"swap_cache\":0,\"swapped\":1,"
	"\"poisoned\":0,\"in_core\":0,\"unknown\":2},"
	"\"generation\":null,"
	"\"extents\":[{\"count\":7,\"flag\":true},{\"count\":123456,\"flag\":false}]}\n";

static void test_json_stream(void **state)
{
	enum json_mode mode = JSON_SHORT;
	struct json_object *pretty, *plain;
	char *out;

	(void)state;
	check_output(print_stream, &mode, 0, stream_text, "");
	mode = JSON_PRETTY;
	assert_int_equal(capture(print_stream, &mode, &out, NULL, NULL), 0);
	pretty = json_tokener_parse(out);
	plain = json_tokener_parse(stream_text);
	assert_non_null(pretty);
	assert_true(json_object_equal(pretty, plain));
	assert_true(count_lines(out) > 10 && count_lines(out) != SIZE_MAX);
	json_object_put(pretty);
	json_object_put(plain);
	free(out);
}

static int print_empty_stream(void *context)
{
	struct json_stream stream;

	json_stream_open(&stream, *(enum json_mode *)context, json_object_new_object(), "extents");
	json_stream_close(&stream);
	return 0;
}

static void test_empty_json_stream(void **state)
{
	enum json_mode mode = JSON_SHORT;
	struct json_object *j;
	char *out;

	(void)state;
	check_output(print_empty_stream, &mode, 0, "{\"extents\":[]}\n", "");
	mode = JSON_PRETTY;
	assert_int_equal(capture(print_empty_stream, &mode, &out, NULL, NULL), 0);
	j = json_tokener_parse(out);
	assert_non_null(j);
	json_object_put(j);
	free(out);
}

static int print_summary(void *context)
{
	struct object o = {.kind = OBJECT_TMPFS,
			   .name = (char *)"/dev/shm/\033[2J",
			   .deleted = true,
			   .page_size = 4096,
			   .have_size = true,
			   .size = 5000};
	struct snapshot s = example();

	s.stable = *(bool *)context;
	summary_print(&o, &s, false);
	s.count = 2;
	s.sources = 0;
	summary_print(&o, &s, true);
	snapshot_done(&s);
	summary_print(&o, NULL, false);
	return 0;
}

static void test_summary(void **state)
{
	bool stable = true;

	(void)state;
	check_output(print_summary, &stable, 0,
		     "   Object: 00:00:0 (tmpfs) /dev/shm/\\x1b[2J (deleted)\n"
		     "     Size: 12K (4 pages of 4096 bytes)\n"
		     "    Probe: portable (seek, cachestat)\n"
		     "   Stable: yes\n"
		     "   Object: 00:00:0 (tmpfs) /dev/shm/\\x1b[2J (deleted)\n"
		     "     Size: 12289 (4 pages of 4096 bytes)\n"
		     "    Range: 0+2 pages\n"
		     "    Probe: portable\n"
		     "   Stable: yes\n"
		     "   Object: 00:00:0 (tmpfs) /dev/shm/\\x1b[2J (deleted)\n"
		     "     Size: 4.8K (2 pages of 4096 bytes)\n",
		     "");
	stable = false;
	assert_int_equal(capture(print_summary, &stable, NULL, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),       cmocka_unit_test(test_csv),
		cmocka_unit_test(test_json_rows),   cmocka_unit_test(test_bad_columns),
		cmocka_unit_test(test_bitmap),      cmocka_unit_test(test_random_bitmaps),
		cmocka_unit_test(test_json_stream), cmocka_unit_test(test_empty_json_stream),
		cmocka_unit_test(test_summary),
	};

	/* Whether there are colours is asked once, when stdout may be a terminal. */
	setenv("NO_COLOR", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

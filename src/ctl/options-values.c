/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/options-values.h"

/* As the service allows it. */
#define SETTLE_MS_MAX 60000
#define AGE_MS_MAX 3600000
#define INTERVAL_MS_MIN 100
#define INTERVAL_MS_MAX 40000

int parse_kinds(const char *arg, uint32_t *ret)
{
	_cleanup_free_ char *copy = strdup(arg);
	char *rest = copy, *name;

	while (rest && (name = strsep(&rest, ","))) {
		int kind = object_kind_from_string(name);

		if (kind < 0)
			return usage_error(
				"--kind=%s: \"%s\" is no kind; expected memfd, tmpfs, sysv, "
				"anon, shmem, hugetlb, secretmem or guest_memfd",
				arg, name);
		*ret |= UINT32_C(1) << kind;
	}
	return 0;
}

int parse_states(const char *arg, struct options *o)
{
	page_state_mask states;
	const char *bad;

	if (page_state_mask_parse(arg, &states, &bad) < 0)
		return usage_error(
			"--state=%s: \"%.*s\" is no state; expected hole, allocated, present, "
			"swap_cache, swapped, poisoned, in_core or unknown",
			arg, (int)strcspn(bad, ","), bad);
	o->states = o->have_states ? o->states | states : states;
	o->have_states = true;
	return 0;
}

int parse_word(const char *option, const char *arg, const char *const words[], size_t n)
{
	char all[128] = "";

	for (size_t i = 0; i < n; i++) {
		if (words[i] && strcmp(words[i], arg) == 0)
			return (int)i;
		if (words[i])
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
				 all[0] ? ", " : "", words[i]);
	}
	usage_error("--%s=%s: expected one of %s", option, arg, all);
	return -EINVAL;
}

int parse_format(const char *arg, bool has_bitmap, bool has_raw, struct options *o)
{
	const char *const words[] = {"table", "json", "csv", has_bitmap ? "bitmap" : NULL,
				     has_raw ? "raw" : NULL};
	int r = parse_word("format", arg, words, ARRAY_SIZE(words));

	if (r < 0)
		return EXIT_USAGE;
	o->format = (enum output_format)r;
	return 0;
}

int parse_probe(const char *arg, struct options *o)
{
	int r = probe_choice_from_string(arg);

	if (r < 0)
		return usage_error("--probe=%s: expected one of auto, walk, portable, verify", arg);
	o->probe = (enum probe_choice)r;
	return 0;
}

int parse_settle(const char *arg, struct options *o)
{
	uint64_t ms;

	if (parse_time(arg, &ms) < 0 || ms == 0 || ms > SETTLE_MS_MAX)
		return usage_error("--settle=%s: expected a time from 1ms to 60s", arg);
	o->settle = (unsigned)ms;
	return 0;
}

int parse_generation(const char *arg, struct options *o)
{
	if (!arg)
		return usage_error("diff needs a generation, as dump, show and diff tell it");
	if (parse_u64(arg, 10, &o->since) < 0 || o->since == 0 || o->since > INT64_MAX)
		return usage_error(
			"\"%s\" is no generation; expected its number, as dump, show and diff "
			"tell it",
			arg);
	return 0;
}

int parse_age(const char *arg, struct options *o)
{
	uint64_t ms;

	if (parse_time(arg, &ms) < 0 || ms % 1000 != 0 || ms > AGE_MS_MAX)
		return usage_error("--age=%s: expected a time from 0s to 1h, in whole seconds",
				   arg);
	o->age = (unsigned)(ms / 1000);
	return 0;
}

int parse_interval(const char *arg, struct options *o)
{
	uint64_t ms;

	if (parse_time(arg, &ms) < 0 || ms < INTERVAL_MS_MIN || ms > INTERVAL_MS_MAX)
		return usage_error("--interval=%s: expected a time from 100ms to 40s", arg);
	o->interval = (unsigned)ms;
	return 0;
}

int parse_by(const char *arg, struct options *o)
{
	static const char *const words[] = {"object", "unit"};
	int r = parse_word("by", arg, words, ARRAY_SIZE(words));

	if (r < 0)
		return EXIT_USAGE;
	o->by_unit = r == 1;
	return 0;
}

int parse_json(const char *arg, struct options *o)
{
	static const char *const words[] = {"off", "short", "pretty"};
	int r = parse_word("json", arg, words, ARRAY_SIZE(words));

	if (r < 0)
		return EXIT_USAGE;
	o->json = (enum json_mode)r;
	return 0;
}

int parse_amount(const char *option, const char *arg, uint64_t min, uint64_t *ret)
{
	uint64_t bytes;

	if (parse_bytes(arg, &bytes) < 0 || bytes < min)
		return usage_error("--%s=%s: expected a number of bytes, or with K, M, G or T "
				   "behind it, of at least %" PRIu64,
				   option, arg, min);
	*ret = bytes;
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"

int options_page_range(const struct options *o, struct page_range *ret)
{
	struct page_range range = ALL_PAGES;

	if (o->range && parse_page_range(o->range, (uint64_t)sysconf(_SC_PAGESIZE), &range) < 0)
		return usage_error("--range=%s: expected FIRST+COUNT or FIRST-LAST, in pages or in "
				   "bytes with K, M, G or T",
				   o->range);
	*ret = range;
	return 0;
}

int options_address_range(const struct options *o, struct page_range *ret)
{
	struct page_range range = ALL_PAGES;

	if (o->range && parse_address_range(o->range, (uint64_t)sysconf(_SC_PAGESIZE), &range) < 0)
		return usage_error("--range=%s: expected START-END or START+LENGTH, with "
				   "hexadecimal addresses on page borders",
				   o->range);
	*ret = range;
	return 0;
}

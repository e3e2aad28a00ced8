/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>

#include "ctl/options.h"
#include "ctl/terminal.h"
#include "probe/mapping.h"
#include "util/text.h"

int main(int argc, char *argv[])
{
	struct options options;
	const struct verb *verb;
	int code, r;

	setlocale(LC_CTYPE, "");
	mapping_keep_khugepaged_out();
	verb = options_parse(argc, argv, &options, &code);
	if (verb)
		code = verb->run(&options);
	r = pager_close();
	if (r < 0 && code != EXIT_FAILED)
		return failed("cannot write the output: %s", text_error(r));
	return code;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench.h"
#include "util/util.h"

#define CELL 11
#define CELL_PRODUCT 7
/* What the way over the socket may cost, of the probe's time. */
#define SERVICE_RATIO_MOST 1.2

/* The product's own answer is what others are compared to; without BPF the portable one. */
static const struct bench_result *reference(const struct bench_result *results)
{
	return results[PEER_EXACT].error ? &results[PEER_PORTABLE] : &results[PEER_EXACT];
}

static const char *reason(int error)
{
	switch (error) {
	case -ENOENT:
		return "not there";
	case -ENOSYS:
		return "cannot";
	default:
		return "failed";
	}
}

/* Three digits, as far as they tell anything. */
static void format_ms(char *ret, size_t size, double ms, bool sampled)
{
	const char *mark = sampled ? "~" : "";

	if (ms >= 9999.5)
		snprintf(ret, size, "%s%.0fs", mark, ms / 1e3);
	else
		snprintf(ret, size, "%s%.*f", mark,
			 ms < 0.0995  ? 3
			 : ms < 9.995 ? 2
				      : ms < 99.95,
			 ms);
}

static void format_ratio(char *ret, size_t size, double ratio)
{
	if (ratio >= 9999.5)
		snprintf(ret, size, "%.0fkx", ratio / 1e3);
	else
		snprintf(ret, size, "%.*fx", ratio < 9.995 ? 2 : ratio < 99.95, ratio);
}

static void print_cell(FILE *f, const struct bench_result *result,
		       const struct bench_result *compared)
{
	char ms[16], ratio[16] = "";
	int width = compared ? CELL : CELL_PRODUCT;

	if (result->error) {
		fprintf(f, " %*s", width, reason(result->error));
		return;
	}
	format_ms(ms, sizeof(ms), result->ms, result->sampled);
	if (!compared) {
		fprintf(f, " %*s", width, ms);
		return;
	}
	if (compared->error == 0)
		format_ratio(ratio, sizeof(ratio), result->ms / compared->ms);
	fprintf(f, " %5s %*s", ms, CELL - 6, ratio);
}

static void format_size(char *ret, size_t size, uint64_t bytes)
{
	if (bytes >> 40 && bytes % ((uint64_t)1 << 40) == 0)
		snprintf(ret, size, "%llu TiB", (unsigned long long)(bytes >> 40));
	else if (bytes >> 30 && bytes % (1 << 30) == 0)
		snprintf(ret, size, "%llu GiB", (unsigned long long)(bytes >> 30));
	else
		snprintf(ret, size, "%llu MiB", (unsigned long long)(bytes >> 20));
}

bool bench_row_drifted(const struct bench_row *row)
{
	uint64_t least = MIN(row->wanted, MIN(row->before, row->after));
	uint64_t most = MAX(row->wanted, MAX(row->before, row->after));

	return (most - least) * 100 > row->pages;
}

static bool has_exact(const struct bench_report *report)
{
	for (size_t n = 0; n < report->n_rows; n++)
		if (!report->rows[n].left_out[0] && report->rows[n].results[PEER_EXACT].error == 0)
			return true;
	return false;
}

static void print_times(const struct bench_report *report, FILE *f)
{
	uint64_t bytes = 0;

	fprintf(f, "%-13s", "ms");
	for (size_t i = 0; i < n_bench_peers; i++)
		fprintf(f, " %*s", i < PEER_PORTABLE ? CELL_PRODUCT : CELL, bench_peers[i].name);
	fprintf(f, "\n");
	for (size_t n = 0; n < report->n_rows; n++) {
		const struct bench_row *row = &report->rows[n];
		char size[32];

		if (row->bytes != bytes) {
			format_size(size, sizeof(size), row->bytes);
			fprintf(f, "%s, %llu pages\n", size, (unsigned long long)row->pages);
			bytes = row->bytes;
		}
		fprintf(f, "  %-11s", row->layout->name);
		for (size_t i = 0; i < n_bench_peers && !row->left_out[0]; i++)
			print_cell(f, &row->results[i],
				   i < PEER_PORTABLE ? NULL : reference(row->results));
		fprintf(f, "%s%s\n", row->left_out[0] ? " left out: " : "", row->left_out);
	}
}

static void print_drift(const struct bench_row *row, FILE *f)
{
	char size[32];

	format_size(size, sizeof(size), row->bytes);
	fprintf(f,
		"%s %s is not what was built: %llu pages were to be in core, %llu were before "
		"and %llu after\n",
		size, row->layout->name, (unsigned long long)row->wanted,
		(unsigned long long)row->before, (unsigned long long)row->after);
}

/*
 * The service at the largest size asked for, in the layout in which it costs most beyond the probe.
 * NULL: nothing was asked by the service.
 */
static const struct bench_row *dearest_by_service(const struct bench_report *report,
						  double *ret_ratio)
{
	const struct bench_row *dearest = NULL;

	for (size_t n = 0; n < report->n_rows; n++) {
		const struct bench_row *row = &report->rows[n];
		const struct bench_result *service = &row->results[PEER_SERVICE];
		const struct bench_result *probe = &row->results[PEER_EXACT];
		double ratio;

		if (row->layout->bytes || row->left_out[0] || service->error || probe->error)
			continue;
		ratio = service->ms / probe->ms;
		if (dearest && (row->bytes < dearest->bytes ||
				(row->bytes == dearest->bytes && ratio <= *ret_ratio)))
			continue;
		dearest = row;
		*ret_ratio = ratio;
	}
	return dearest;
}

static void print_service(const struct bench_report *report, FILE *f)
{
	double ratio;
	const struct bench_row *row = dearest_by_service(report, &ratio);
	char size[32];

	if (!row)
		return;
	format_size(size, sizeof(size), row->bytes);
	fprintf(f,
		"\nBy the service, all states by descriptor, %s takes %.2f times what the probe "
		"takes at most (%s): %s %.1f\n",
		size, ratio, row->layout->name,
		ratio <= SERVICE_RATIO_MOST ? "within" : "NOT within", SERVICE_RATIO_MOST);
}

/* What the product uses up, and how long it keeps a processor from anything else. */
static void print_probe(const struct bench_report *report, FILE *f)
{
	fprintf(f, "\n%-21s %9s %7s %11s %7s %10s %9s %11s %8s\n", "the probe", "ns a page", "cold",
		"memory, KiB", "chunks", "median, us", "99 %, us", "longest, us", "in core");
	for (size_t n = 0; n < report->n_rows; n++) {
		const struct bench_row *row = &report->rows[n];
		const struct bench_result *result = reference(row->results);
		char size[32];

		if (row->left_out[0] || result->error)
			continue;
		format_size(size, sizeof(size), row->bytes);
		fprintf(f, "%8s %-12s %9.3g %7.3g", size, row->layout->name,
			result->ms * 1e6 / (double)row->pages,
			result->cold_ms * 1e6 / (double)row->pages);
		if (row->growth_error)
			fprintf(f, " %11s", reason(row->growth_error));
		else
			fprintf(f, " %11llu", (unsigned long long)row->growth_kib);
		if (row->walk.chunks)
			fprintf(f, " %7llu %10.1f %9.1f %11.1f",
				(unsigned long long)row->walk.chunks, row->walk.median_us,
				row->walk.p99_us, row->walk.max_us);
		else
			fprintf(f, " %7s %10s %9s %11s", "-", "-", "-", "-");
		fprintf(f, " %8llu\n", (unsigned long long)row->after);
	}
	if (bench_walk_longest_us() > 0)
		fprintf(f, "The longest of all chunks, those of the probes too: %.1f us\n",
			bench_walk_longest_us());
	for (size_t n = 0; n < report->n_rows; n++)
		if (!report->rows[n].left_out[0] && bench_row_drifted(&report->rows[n]))
			print_drift(&report->rows[n], f);
}

static void print_list(const struct bench_list *list, FILE *f)
{
	if (list->objects == 0)
		return;
	fprintf(f, "\n%u objects in as many processes\n%-13s", list->objects, "ms");
	for (size_t i = 0; i < BENCH_LISTERS; i++)
		fprintf(f, " %15s", list->names[i]);
	fprintf(f, "\n%-13s", "");
	for (size_t i = 0; i < BENCH_LISTERS; i++) {
		fprintf(f, "    ");
		print_cell(f, &list->results[i], &list->results[0]);
	}
	fprintf(f, "\n");
}

void bench_report_text(const struct bench_report *report, FILE *f)
{
	struct utsname kernel;

	uname(&kernel);
	fprintf(f,
		"Kernel %s, %ld processors, swap: %s. Medians of %u rounds: ms for the whole "
		"object, and how\nmany times that of the %s probe it is. ~: scaled up from a "
		"sample.\nWhat is quick runs twice in its turn: the second run counts, cold is the "
		"first.\n\n",
		kernel.release, sysconf(_SC_NPROCESSORS_ONLN), report->swap, report->rounds,
		has_exact(report) ? "exact" : "portable");
	print_times(report, f);
	print_service(report, f);
	print_probe(report, f);
	print_list(&report->list, f);
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static void json_result(FILE *f, const char *name, const struct bench_result *result,
			uint64_t pages)
{
	if (result->error) {
		fprintf(f, "\"%s\":{\"ms\":null,\"reason\":\"%s\"}", name, reason(result->error));
		return;
	}
	fprintf(f, "\"%s\":{\"ms\":%.4f,", name, result->ms);
	if (pages)
		fprintf(f, "\"nsPerPage\":%.6f,", result->ms * 1e6 / (double)pages);
	if (result->cold_ms > 0)
		fprintf(f, "\"coldMs\":%.4f,", result->cold_ms);
	fprintf(f, "\"rounds\":%u,\"sampled\":%s}", result->rounds,
		result->sampled ? "true" : "false");
}

static void json_row(FILE *f, const struct bench_row *row)
{
	fprintf(f, "  {\"layout\":\"%s\",\"help\":\"%s\",\"bytes\":%llu,\"pages\":%llu,\n",
		row->layout->name, row->layout->help, (unsigned long long)row->bytes,
		(unsigned long long)row->pages);
	if (row->left_out[0]) {
		fprintf(f, "   \"leftOut\":\"%s\"}", row->left_out);
		return;
	}
	fprintf(f, "   \"inCore\":{\"wanted\":%llu,\"before\":%llu,\"after\":%llu},",
		(unsigned long long)row->wanted, (unsigned long long)row->before,
		(unsigned long long)row->after);
	fprintf(f, "\"drifted\":%s,\n", bench_row_drifted(row) ? "true" : "false");
	if (row->growth_error)
		fprintf(f, "   \"peakGrowthKiB\":null,");
	else
		fprintf(f, "   \"peakGrowthKiB\":%llu,", (unsigned long long)row->growth_kib);
	if (row->walk.chunks)
		fprintf(f,
			"\"walk\":{\"chunks\":%llu,\"medianUs\":%.3f,\"p99Us\":%.3f,\"maxUs\":%.3f}"
			",\n",
			(unsigned long long)row->walk.chunks, row->walk.median_us, row->walk.p99_us,
			row->walk.max_us);
	else
		fprintf(f, "\"walk\":null,\n");
	fprintf(f, "   \"buildMs\":%.0f,\"measureMs\":%.0f,\n   \"peers\":{", row->build_ms,
		row->measure_ms);
	for (size_t i = 0; i < n_bench_peers; i++) {
		fprintf(f, i ? ",\n            " : "");
		json_result(f, bench_peers[i].name, &row->results[i], row->pages);
	}
	fprintf(f, "}}");
}

static void json_service(FILE *f, const struct bench_report *report)
{
	double ratio;
	const struct bench_row *row = dearest_by_service(report, &ratio);

	if (row)
		fprintf(f,
			"\"service\":{\"bytes\":%llu,\"layout\":\"%s\",\"ratio\":%.4f,"
			"\"most\":%.1f,\"within\":%s},",
			(unsigned long long)row->bytes, row->layout->name, ratio,
			SERVICE_RATIO_MOST, ratio <= SERVICE_RATIO_MOST ? "true" : "false");
	else
		fprintf(f, "\"service\":null,");
}

void bench_report_json(const struct bench_report *report, FILE *f)
{
	const struct bench_list *list = &report->list;

	fprintf(f, "{\"rounds\":%u,\"swap\":\"%s\",", report->rounds, report->swap);
	json_service(f, report);
	fprintf(f, "\"layouts\":[\n");
	for (size_t i = 0; i < report->n_rows; i++) {
		fprintf(f, i ? ",\n" : "");
		json_row(f, &report->rows[i]);
	}
	fprintf(f, "\n],\"list\":");
	if (list->objects == 0) {
		fprintf(f, "null}\n");
		return;
	}
	fprintf(f, "{\"objects\":%u,\"processes\":%u", list->objects, list->objects);
	for (size_t i = 0; i < BENCH_LISTERS; i++) {
		fprintf(f, ",\n  ");
		json_result(f, list->names[i], &list->results[i], 0);
	}
	fprintf(f, "}}\n");
}

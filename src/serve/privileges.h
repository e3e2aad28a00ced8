/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Gives up, for good, the capabilities that only loading BPF programs takes: CAP_BPF and CAP_PERFMON.
 * What is loaded goes on running without. (CAP_SYSLOG stays: where the kernel keeps its swaps is
 * looked up when the first swap is there.) Capabilities are a thread's own, so this is for the time
 * before there are others. Returns 0 or a negative errno.
 */
int privileges_drop_loading(void);

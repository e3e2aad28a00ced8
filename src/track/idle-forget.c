/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sched.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "track/idle.h"

/* Linux has x86 processors keep those of six processes, and those of the one that was there longest
 * go first. */
#define SPACES 8

/* In a process of its own: there is no telling what locks others of ours held. */
static void visit_cpus(const cpu_set_t *ours)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;

		if (!CPU_ISSET(cpu, ours))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	_exit(0);
}

void idle_forget_translations(void)
{
	cpu_set_t ours;
	pid_t pids[SPACES];

	if (sched_getaffinity(0, sizeof(ours), &ours) < 0)
		return;
	for (int i = 0; i < SPACES; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			visit_cpus(&ours);
	}
	for (int i = 0; i < SPACES; i++)
		if (pids[i] > 0)
			waitpid(pids[i], NULL, 0);
}

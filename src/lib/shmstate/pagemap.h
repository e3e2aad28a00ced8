/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SHMSTATE_PAGEMAP_H
#define SHMSTATE_PAGEMAP_H

/*
 * What the descriptor holds that io.shmstate.GetPagemap answers with if its encoding is
 * file_descriptor: a word of 64 bits for each page of the process's address space, laid out like
 * /proc/PID/pagemap, so that what reads that reads this too.
 *
 * The descriptor is a memfd that is sealed: its content and its size will not change. There is no
 * header. The word of the page at address A is at byte SHMSTATE_PAGEMAP_OFFSET(A, pageSize), with
 * the pageSize of the reply, in the byte order of the machine. The file ends behind the last word
 * that was asked for, and is sparse: as long as the address is high, with next to nothing in it. So
 * use pread() where you have a page to ask about and lseek() with SEEK_DATA where you have none;
 * neither read nor map it as a whole.
 *
 * Of a call with a range that has a count all its pages have their words; else those have that map
 * shared memory. What has none reads as 0.
 *
 * Words are the kernel's, put right where it does not know what became of a page of shared memory:
 * SHMSTATE_PAGEMAP_SWAP is set if the page is swapped or swap_cache, and not in the process's page
 * table. What could not be determined is not swapped here; then the reply is `incomplete`.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where in the file, in bytes, the word of an address is. */
#define SHMSTATE_PAGEMAP_OFFSET(address, page_size) ((uint64_t)(address) / (page_size)*8)

/* Bits of a word; those that are not here are as the kernel's pagemap.rst has them. */
#define SHMSTATE_PAGEMAP_PRESENT (UINT64_C(1) << 63) /* in RAM, and in the page table */
#define SHMSTATE_PAGEMAP_SWAP (UINT64_C(1) << 62)    /* in the swap */
#define SHMSTATE_PAGEMAP_FILE (UINT64_C(1) << 61) /* of a file or of shared memory, not private */

/*
 * With PRESENT: the frame. With SWAP: which swap (5 bits) and, from SHMSTATE_PAGEMAP_SLOT_SHIFT on,
 * which slot of it. 0 unless the caller is root or in the group shmstate, and where it is not
 * known.
 */
#define SHMSTATE_PAGEMAP_FRAME_MASK ((UINT64_C(1) << 55) - 1)
#define SHMSTATE_PAGEMAP_SLOT_SHIFT 5

#ifdef __cplusplus
}
#endif

#endif

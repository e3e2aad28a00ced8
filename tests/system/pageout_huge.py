# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Scenarios of pageout.py: an object in huge pages that the process maps as wholes. One of them leaves as
a whole; if a part of it is advised about the kernel splits it, and nothing of it leaves any more.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
import time

from pageout_objects import MIB, OUT, PAGE, Victim, check, count_out, expect, in_page_table, oracle

SIZE = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
PAGEMAP_SCAN = 0xC0606610
IS_HUGE = 1 << 6
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
# The low half of the second argument; if it is that call, ENOTTY; else go on.
FILTER = ((0x20, 0, 0, 24), (0x15, 0, 1, PAGEMAP_SCAN), (0x06, 0, 0, 0x50000 | errno.ENOTTY), (0x06, 0, 0, 0x7FFF0000))
UNITS = 4
FOLIO = 16  # pages
FOLIOS = "/sys/kernel/mm/transparent_hugepage/hugepages-64kB"


def unit():
    """Pages of a huge page; 0: this kernel has none."""
    if not os.path.exists(SIZE):
        return 0
    with open(SIZE, encoding="ascii") as file:
        return int(file.read()) // PAGE


def tells_huge():
    """Does the kernel tell which pages are mapped so?"""
    with open("/proc/self/pagemap", "rb") as pagemap:
        try:
            fcntl.ioctl(pagemap, PAGEMAP_SCAN, struct.pack("12Q", 96, 0, 0, PAGE, 0, 0, 0, 0, 0, IS_HUGE, 0, IS_HUGE))
        except OSError:
            return False
    return True


def refuse_to_tell():
    """From now on no kernel tells us, as none did before 6.7."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in FILTER))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(FILTER), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def huge_pages(victim):
    return in_page_table(victim, "ShmemPmdMapped")


@contextlib.contextmanager
def huge(pages):
    with Victim("huge", pages) as victim:
        victim.tell("write")
        victim.tell("collapse")
        if check(huge_pages(victim) == pages, f"huge: {huge_pages(victim)} pages are mapped so, of {pages}"):
            yield victim


def with_huge_pages(scenario):
    """It is given their size, and whether the kernel tells which they are; not tried where there are none."""

    def run(ask):
        pages, told = unit(), tells_huge()
        if not pages:
            print(f"not tried: {scenario.__name__}: no huge pages", flush=True)
            return
        scenario(ask, pages, told)
        if told:
            scenario(ask.on_older_kernel(refuse_to_tell), pages, False)

    run.__name__ = scenario.__name__
    return run


def out(victim):
    return {page for page, state in enumerate(oracle(victim.path)) if state in OUT}


@with_huge_pages
def huge_rate(ask, n, _):
    """A tenth of the rate is a part of a huge page, and the rate one and a half."""
    rate = n * PAGE * 3 // 2
    with huge(UNITS * n) as victim:
        began = time.monotonic()
        process = ask.start("pageout", *victim.select, f"--rate={rate}", "--json=short")
        while process.poll() is None:
            left, passed = UNITS * n - in_page_table(victim), time.monotonic() - began
            check(left * PAGE <= n * PAGE + rate * (passed + 0.2), f"huge-rate: {left} pages in {passed:.2f} s")
            time.sleep(0.1)
        took = time.monotonic() - began
        said, _ = process.communicate()
        check(process.returncode == 0 and count_out(oracle(victim.path)) == UNITS * n, f"huge-rate: {said}")
        # each but the last is waited for
        check(took >= (UNITS - 1) / 1.5 - 0.1, f"huge-rate: it took {took:.2f} s")
        victim.tell("check")


@with_huge_pages
def huge_cap(ask, n, _):
    """The cap lies within a huge page: those before it leave, and it stays as it is."""
    for units, rest, options in ((1, n // 2, []), (2, 1, [f"--rate={n * PAGE * 3}"]), (0, n - 1, [])):
        with huge(UNITS * n) as victim:
            cap = [f"--max={(units * n + rest) * PAGE}", *options]
            stay = {"over_max": n, "not_tried": (UNITS - units - 1) * n}
            expect("huge-cap, dry", ask.pageout(*victim.select, "--dry-run", *cap), 0, movable=units * n, **stay)
            check(not out(victim) and huge_pages(victim) == UNITS * n, "huge-cap: the dry run changed something")
            expect("huge-cap", ask.pageout(*victim.select, *cap), 0, left=units * n, **stay)
            check(out(victim) == set(range(units * n)), "huge-cap: others left")
            check(huge_pages(victim) == (UNITS - units) * n, "huge-cap: one was cut")
            # and on, as far as one goes
            answer = ask.pageout(*victim.select, f"--max={n * PAGE}")
            expect("huge-cap, on", answer, 0, was_out=units * n, left=n, not_tried=(UNITS - units - 1) * n)
            check(out(victim) == set(range((units + 1) * n)), "huge-cap, on: others left")


@with_huge_pages
def huge_mixed(ask, n, told):
    """The cap lies within small pages behind a huge one: it is used up, if that is what they are known to be."""
    half = n // 2
    with Victim("huge", UNITS * n) as victim:
        victim.tell("write")
        victim.tell("collapse", 0, n)
        check(huge_pages(victim) == n, f"huge-mixed: {huge_pages(victim)} pages are mapped so, of {n}")
        left = n + half if told else n
        stay = {"over_max": 0 if told else n, "not_tried": UNITS * n - left - (0 if told else n)}
        cap = f"--max={(n + half) * PAGE}"
        expect("huge-mixed, dry", ask.pageout(*victim.select, "--dry-run", cap), 0, movable=left, **stay)
        expect("huge-mixed", ask.pageout(*victim.select, cap), 0, left=left, **stay)
        check(out(victim) == set(range(left)), "huge-mixed: others left")


@with_huge_pages
def huge_part(ask, n, told):
    """Parts of two, and two wholes in between."""
    half = n // 2
    with huge(UNITS * n) as victim:
        select = [*victim.select, f"--range={half}+{3 * n}"]
        dry = ask.pageout(*select, "--dry-run")
        check(not out(victim) and huge_pages(victim) == UNITS * n, "huge-part: the dry run changed something")
        answer = ask.pageout(*select)
        check(out(victim) == set(range(n, 3 * n)), "huge-part: others left")
        if told:
            expect("huge-part, dry", dry, 3, movable=2 * n, huge_part=2 * half)
            expect("huge-part", answer, 3, left=2 * n, huge_part=2 * half)
            check(huge_pages(victim) == 2 * n, "huge-part: one was cut")
            expect("huge-part, whole", ask.pageout(*victim.select), 0, was_out=2 * n, left=2 * n)
        else:
            expect("huge-part", answer, 3, left=2 * n, stayed=2 * half)
        victim.tell("check")


@with_huge_pages
def huge_rounds(ask, n, _):
    """More than is looked at at a time, and begun within a huge page."""
    pages = (64 * MIB // PAGE // n + 2) * n
    with huge(pages) as victim:
        victim.tell("punch", 0, 1)  # which cuts the first one
        victim.tell("read", 0, n)
        answer = ask.pageout(*victim.select, f"--range=1+{pages - 1}")
        expect("huge-rounds", answer, 0, left=pages - 1)
        check(out(victim) == set(range(1, pages)), "huge-rounds: not all left")
        victim.tell("check")


def allocated():
    with open(f"{FOLIOS}/stats/shmem_alloc", encoding="ascii") as file:
        return int(file.read())


@contextlib.contextmanager
def in_folios(pages):
    """Of 64 KiB, mapped page by page; None: this kernel makes none."""
    mode = f"{FOLIOS}/shmem_enabled"
    if PAGE != 4096 or not os.path.exists(mode):
        yield None
        return
    with open(mode, encoding="ascii") as file:
        before = file.read().partition("[")[2].partition("]")[0]
    with Victim("huge", pages) as victim:
        number = allocated()
        try:
            with open(mode, "w", encoding="ascii") as file:
                file.write("always")
            victim.tell("write")
        finally:
            with open(mode, "w", encoding="ascii") as file:
                file.write(before)
        yield victim if allocated() - number >= pages // FOLIO else None


def large_folios(ask):
    pages = 8 * MIB // PAGE
    with in_folios(pages) as victim:
        if not victim:
            print("not tried: large-folios: this kernel makes none", flush=True)
            return
        # a tenth of that is no multiple of a folio
        expect("large-folios, a rate", ask.pageout(*victim.select, "--rate=7000K"), 0, left=pages)
    with in_folios(pages) as victim:
        # one is cut, and no other
        expect("large-folios, a cap", ask.pageout(*victim.select, "--max=1028K"), 3, left=256, stayed=1,
               not_tried=pages - 257)
        check(out(victim) == set(range(256)), "large-folios: others left")
        there = in_page_table(victim)
        check(there == pages - 256 - FOLIO, f"large-folios: it has lost {pages - 256 - there} pages of its page table")
        victim.tell("check")

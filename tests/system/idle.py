# SPDX-License-Identifier: LGPL-2.1-or-later
"""shmstatectl candidates --idle: idle.py [SCENARIO...]

What was accessed is known: idle_guest.py did it. That pages are marked is seen in /proc/kpageflags.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

PAGE = os.sysconf("SC_PAGESIZE")
HERE = os.path.dirname(os.path.abspath(__file__))
AGE = int(os.environ.get("SHMSTATE_IDLE_AGE", "4"))
EACH = 16  # pages beside each other that are used alike: as many as the kernel maps at a fault
BITMAP = "/sys/kernel/mm/page_idle/bitmap"
LRU_GEN = "/sys/kernel/mm/lru_gen/enabled"
DAMON = "/sys/kernel/mm/damon/admin/kdamonds"
TAIL, IDLE = 1 << 16, 1 << 25
SWAP = len(open("/proc/swaps").readlines()) > 1
wrong = compared = missed = 0


def check(true, what):
    global wrong
    if not true:
        wrong += 1
    print(("ok      " if true else "WRONG   ") + what, flush=True)


def word(path, number):
    with open(path, "rb", buffering=0) as f:
        return int.from_bytes(os.pread(f.fileno(), 8, number * 8), "little")


class Guest:
    def __init__(self, name, pages, *path):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(HERE, "idle_guest.py"), name, str(pages), *path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid, fd = map(int, self.process.stdout.readline().split())
        self.path = f"/proc/{self.pid}/fd/{fd}"

    def do(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        text = self.process.stdout.readline().strip()
        return int(text) if text.lstrip("-").isdigit() else text

    def map(self, pages):
        self.address = self.do("map", pages)

    def flags(self, page):
        """Of the frame that it has mapped there."""
        return word("/proc/kpageflags", word(f"/proc/{self.pid}/pagemap", self.address // PAGE + page) & (1 << 55) - 1)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Service:
    def __init__(self, folder):
        self.socket = os.path.join(folder, "socket")
        self.process = subprocess.Popen([os.environ["SHMSTATED"], "--socket", self.socket])
        for _ in range(200):
            if os.path.exists(self.socket):
                break
            time.sleep(0.05)

    def command(self, guest, *words):
        return [os.environ["SHMSTATECTL"], "candidates", "--name", guest.name, "--idle", f"--age={AGE}s",
                "--socket", self.socket, *words]

    def watch(self, guest, page, *words):
        """Begins. When it returns, pages are marked: this one, which nobody uses, is the sign."""
        p = subprocess.Popen(
            self.command(guest, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # which a shell has ignored in what it runs in the background
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        end = time.monotonic() + 60
        while time.monotonic() < end and p.poll() is None and not guest.flags(page) & IDLE:
            time.sleep(0.02)
        time.sleep(0.2)
        guest.do("forget")
        p.marked = time.monotonic()
        return p

    def end(self):
        self.process.terminate()
        self.process.wait()


class Late(Exception):
    """What was to be done was not done within the age, on a machine that has much else to do."""


def answer(p, codes=(0,)):
    late = time.monotonic() > p.marked + AGE - 0.7
    out, err = p.communicate()
    if late:
        raise Late
    check(p.returncode in codes, f"exit status {p.returncode}: {err.strip()!r}")
    if p.returncode not in codes:
        raise RuntimeError("no answer")
    return json.loads(out)


def pages_of(a):
    return {page for r in a["ranges"] for page in range(r["first"], r["first"] + r["count"])}


def compare(a, used, unused, what):
    """No page that was used is given; of those that were not, nearly all are."""
    global compared, missed
    given = pages_of(a)
    false, lacking = given & used, unused - given
    compared += len(used) + len(unused)
    missed += len(lacking)
    check(not false, f"{what}: of {len(used)} pages in use {len(false)} are given")
    check(len(lacking) <= len(unused) // 20, f"{what}: of {len(unused)} that are not {len(lacking)} are left out")
    check(given <= used | unused, f"{what}: nothing else is given")


def group(pages, kinds, *which):
    return [page for page in range(pages) if page // EACH % kinds in which]


def accesses(service):
    """By page tables of two processes, by read(2) and write(2), once each."""
    pages, kinds = 2048, 8
    guest = Guest("idle-accesses", pages)
    guest.map(pages)
    guest.do("write", *range(pages))
    other = Guest("idle-other", pages, guest.path)
    other.map(pages)
    try:
        p = service.watch(guest, 0, "--unproven", "--json=short")
        guest.do("read", *group(pages, kinds, 1))
        guest.do("write", *group(pages, kinds, 2))
        guest.do("fileread", *group(pages, kinds, 3))
        guest.do("filewrite", *group(pages, kinds, 4))
        other.do("read", *group(pages, kinds, 6))
        a = answer(p, (0, 3))
        check(a["accessInformation"] == "idle_page_bitmap", "what tells of accesses is named")
        check(a["presentPages"] == pages, f"all is present: {a['presentPages']}")
        for which, what in (1, "read"), (2, "written"), (3, "read(2)"), (4, "write(2)"), (6, "read by another"):
            n = len(pages_of(a) & set(group(pages, kinds, which)))
            check(n == 0, f"{what}: {n} are given")
        unused = set(group(pages, kinds, 0, 5, 7))
        compare(a, set(range(pages)) - unused, unused, "accesses")
        n = len(pages_of(a))
        check(a["candidatePages"] == n, f"as many as are given: {a['candidatePages']}, {n}")
        check(a["accessedPages"] + a["unwatchedPages"] == pages - n, "the others are counted")
    finally:
        other.end()
        guest.end()


def busy(service):
    """What a processor has no need to look up in the page table, for it never forgets it."""
    pages = 256
    guest = Guest("idle-busy", pages)
    guest.map(pages)
    try:
        guest.do("write", *range(pages))
        guest.do("spin", EACH)
        time.sleep(0.5)
        a = answer(service.watch(guest, EACH, "--unproven", "--json=short"), (3,))
        compare(a, set(range(EACH)), set(range(EACH, pages)), "used all the time")
    finally:
        guest.end()


def huge(service):
    """Of a large folio the first page alone has a bit. One that is put together meanwhile is another."""
    each, folios = 512, 6
    pages = each * folios
    guest = Guest("idle-huge", pages)
    guest.map(pages)
    try:
        guest.do("write", *range(pages))
        done = [guest.do("collapse", i * each, each) == 0 for i in range(folios - 1)]
        if not all(done) or not guest.flags(3) & TAIL:
            print("not shown: large folios: this kernel made none")
            return
        p = service.watch(guest, 0, "--unproven", "--json=short")
        guest.do("read", 1 * each + 77)
        # newer kernels (7.2, not 6.12) see it only where the folio begins
        guest.do("fileread", 2 * each)
        guest.do("write", 4 * each + 511)
        moved = guest.do("collapse", 5 * each, each) == 0
        check(moved, "pages move within the age")
        a = answer(p, (3,))
        used = set(range(each, 3 * each)) | set(range(4 * each, 6 * each))
        compare(a, used, set(range(pages)) - used, "large folios")
        check(a["unwatchedPages"] >= each, f"and it is not known of those that moved: {a['unwatchedPages']}")
    finally:
        guest.end()


def paged_out(service):
    """What goes out within the age is no candidate, whether or not it comes back."""
    if not SWAP:
        print("not shown: pages that go out: there is no swap")
        return
    pages, kinds = 1024, 4
    guest = Guest("idle-out", pages)
    guest.map(pages)
    try:
        guest.do("write", *range(pages))
        p = service.watch(guest, 0, "--unproven", "--json=short")
        for first in range(0, pages, EACH * kinds):
            guest.do("pageout", first + EACH, 2 * EACH)
        guest.do("read", *group(pages, kinds, 1))
        a = answer(p, (0, 3))
        unused = set(group(pages, kinds, 0, 3))
        compare(a, set(range(pages)) - unused, unused, "paged out")
        check(a["presentPages"] < pages, f"some is out: {a['presentPages']} are present")
    finally:
        guest.end()


def not_mapped(service):
    """Half of it is in no page table; a cap; addresses; what a person reads."""
    pages = 512
    guest = Guest("idle-half", pages)
    guest.map(pages // 2)
    try:
        guest.do("filewrite", *range(pages))
        guest.do("read", *range(pages // 2))
        table = subprocess.Popen(service.command(guest, "--unproven", "--no-pager"), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        p = service.watch(guest, 0, "--unproven", "--json=short", f"--max={40 * PAGE}")
        a = answer(p, (3,))
        compare(a, set(), set(range(40)), "a cap")
        # without cachestat and a walk, what is in no page table is not known to be present either
        rest = a["presentPages"] - pages // 2
        check(a["unwatchedPages"] == rest, f"of what is not mapped nothing is known: {a['unwatchedPages']} of {rest}")
        said = "page table" in " ".join(a["reasons"])
        check(a["incomplete"] and said == (rest > 0), f"which is said: {a['reasons']}")
        check(
            all(r["address"] == guest.address + r["first"] * PAGE for r in a["ranges"]),
            "they have their addresses",
        )
        out, _ = table.communicate()
        check("Access: idle_page_bitmap" in out and f"Unwatched: {rest} pages" in out, "a table says so too")
    finally:
        guest.end()


def interrupted(service):
    guest = Guest("idle-interrupt", 64)
    guest.map(64)
    try:
        guest.do("write", *range(64))
        p = service.watch(guest, 0, "--unproven")
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate()
        check(p.returncode == -signal.SIGINT and out == "", f"it can be interrupted: {p.returncode}, {out!r}")
    finally:
        guest.end()


def refused(service, message, **how):
    guest = Guest("idle-refused", 16)
    try:
        r = subprocess.run(service.command(guest), capture_output=True, text=True, **how)
        check(r.returncode == 1 and message in r.stderr and r.stderr.count("\n") == 1 and r.stdout == "",
              f"refused: {r.returncode} {r.stderr.strip()!r}")
    finally:
        guest.end()


def put(path, text):
    with open(path, "w") as f:
        f.write(text)


def damon(service):
    """Let it look at a process of ours: nobody else uses it, or this test would not run."""
    guest = Guest("idle-damon", 16)
    guest.map(16)
    try:
        put(f"{DAMON}/nr_kdamonds", "1")
        for name, text in (
            ("nr_contexts", "1"),
            ("0/operations", "vaddr"),
            ("0/targets/nr_targets", "1"),
            ("0/targets/0/pid_target", str(guest.pid)),
        ):
            put(f"{DAMON}/0/contexts/{name}", text)
        put(f"{DAMON}/0/state", "on")
        refused(service, "DAMON runs")
    finally:
        put(f"{DAMON}/0/state", "off")
        put(f"{DAMON}/nr_kdamonds", "0")
        guest.end()


def refusals(service):
    refused(service, "for root only", user=65534, group=65534, extra_groups=())
    if os.path.exists(LRU_GEN):
        put(LRU_GEN, "y")
        refused(service, "the multi-gen LRU is on")
        put(LRU_GEN, "n")
    if os.path.exists(DAMON) and open(f"{DAMON}/nr_kdamonds").read().strip() == "0":
        damon(service)


def run(scenario, service):
    global AGE
    for _ in range(3):
        try:
            return scenario(service)
        except Late:
            AGE *= 2
            print(f"again, with an age of {AGE} s: this machine was too slow", flush=True)
    check(False, "this machine is too slow")


def with_bitmap(names):
    old = open(LRU_GEN).read() if os.path.exists(LRU_GEN) else None
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        service = Service(folder)
        try:
            if old:
                put(LRU_GEN, "n")
            for scenario in accesses, busy, huge, paged_out, not_mapped, interrupted, refusals:
                if names and scenario.__name__ not in names:
                    continue
                print(f"-- {scenario.__name__}", flush=True)
                run(scenario, service)
        finally:
            service.end()
            if old:
                put(LRU_GEN, old)
    print(f"of those that were not used, {missed} left out")


def main():
    if os.path.exists(BITMAP):
        with_bitmap(sys.argv[1:])
    else:
        with tempfile.TemporaryDirectory() as folder:
            service = Service(folder)
            try:
                refused(service, "this kernel has no idle-page bitmap (CONFIG_IDLE_PAGE_TRACKING)")
            finally:
                service.end()
    print(f"== all: {compared} page comparisons, {wrong} wrong", flush=True)
    sys.exit(1 if wrong else 0 if os.path.exists(BITMAP) else 77)


main()

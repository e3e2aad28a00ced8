#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
kcore.py - what shmstatectl says of the factory's objects, page by page, beside what the kernel's
own structures say (kcore_truth.py), on swaps of its own. Started by tests/system/kcore.
"""

import argparse
import contextlib
import csv
import os
import signal
import struct
import subprocess
import sys
import time

import kcore_btf
import kcore_truth
from kcore_truth import Run, agreed, beside

SHOWN = 4
MANY_PAGES = 1 << 22  # from here on, holes on which all agree are not counted
MANY_WORDS = 1 << 16  # of a page map, that are asked for
ATTEMPTS = 4
CANNOT, INCOMPLETE = 77, 3

MOVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kcore_mover.py")
MOVING = "moving-"
MOVERS = ["moving-out", "moving-in"]

# The swaps, and on each of each way in which an object can be one or two; --all takes every scenario
# that suits. First comes a loop device, so small that no processor begins to put slots aside for itself
# (before 6.14): the factory damages it only if no slots but the object's are in use. MiB; pages of an
# object at most, for they must fit; needs of the scenarios that suit; the usual ones.
PASSES = {
    "loop": (2, 4096, ("loop",), "poisoned-some"),
    "zram": (512, 65536, ("none", "swap"),
             "memfd anon punched zero-filled truncated beyond-end sparse-2t private huge-tmpfs "
             "huge-punched order-4 order-9 moving-out moving-in"),
    "file": (256, 32768, ("none", "swap", "async"),
             "sysv tmpfs-deleted swap-cache-half swap-cache-touched readahead second-mapper huge-tmpfs "
             "huge-punched order-2 order-6 moving-out moving-in"),
}


class Tally:
    def __init__(self):
        self.compared = self.wrong = self.loose = self.moved = 0

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


# ---- the factory -----------------------------------------------------------------------------


class Factory:
    """One object, made by shmfactory and held still by it; or by kcore_mover.py, and moved."""

    def __init__(self, program, scenario, pages):
        command = [program, scenario, "--pages", pages]
        self.moves = scenario.startswith(MOVING)
        if self.moves:
            command = [sys.executable, "-B", MOVER, scenario.removeprefix(MOVING), pages]
        # a group of its own, so that ^C ends us first, and it when we close its input
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, process_group=0)
        self.line = self.process.stdout.readline().strip()
        self.ready = self.line.startswith("ready ")
        # the path comes last and may have spaces
        words = self.line.split(" path=")[0].split()
        self.field = dict(word.split("=", 1) for word in words if "=" in word)

    def number(self, name, default=0):
        return int(self.field.get(name, str(default)), 0)

    def move(self):
        if self.moves:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()

    def stop(self):
        self.process.communicate("quit\n" if self.ready else None)
        return self.process.returncode


# ---- what is asked ---------------------------------------------------------------------------


class Question:
    """One answer of shmstatectl, as runs, and what is right of it."""

    def __init__(self, ctl, words):
        self.what = " ".join(words)
        self.process = subprocess.Popen([ctl, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.codes = (0,)
        self.partial = False

    def wait(self):
        self.output, errors = self.process.communicate()
        self.code, self.errors = self.process.returncode, errors.decode().strip()

    def rows(self):
        return csv.DictReader(self.output.decode().splitlines())

    def complaint(self):
        if self.code in self.codes:
            return None
        return f"exit status {self.code}: {self.errors.splitlines()[-1] if self.errors else ''}"

    def is_right(self, truth, answer):
        raise NotImplementedError

    @staticmethod
    def is_loose(truth, answer):
        return truth.state != answer.state


class Dump(Question):
    def __init__(self, setup, selector, probe):
        super().__init__(setup.ctl, ["dump", *selector, f"--probe={probe}", "--format=csv"])
        self.portable, self.old = probe == "portable", setup.old
        if self.old or self.portable:
            self.codes = (0, INCOMPLETE)

    def runs(self):
        return [Run(int(r["first"]), int(r["count"]), r["state"], None, None, False)
                for r in self.rows()]

    def is_right(self, truth, answer):
        return truth.state == answer.state or (self.portable and self.is_allowed(truth, answer))

    def is_allowed(self, truth, answer):
        """What shmstatectl(1) says that the portable probe cannot tell."""
        if answer.state == "in_core":
            return self.old and truth.state in ("present", "swap_cache")
        if answer.state == "unknown":
            return truth.state in ("swapped", "poisoned") or (
                self.old and truth.state in ("hole", "allocated"))
        # mincore and cachestat look at the first page of a large entry
        return truth.large and {truth.state, answer.state} == {"swap_cache", "swapped"}


class Locate(Question):
    """Swap and slot of each entry; nothing is said of other pages."""

    def __init__(self, setup, selector):
        super().__init__(setup.ctl, ["locate", *selector, "--format=csv"])
        self.codes = (0, INCOMPLETE)  # it may not know whether a slot is written yet

    def runs(self):
        cached = {"true": "swap_cache", "yes": "swap_cache", "false": "swapped", "no": "swapped"}
        return [Run(int(r["first"]), int(r["count"]), cached[r["cached"]], int(r["type"]),
                    int(r["slot"]), False) for r in self.rows()]

    def is_right(self, truth, answer):
        if truth.slot is None:
            return answer.state == "nothing"
        return truth[2:5] == answer[2:5]

    @staticmethod
    def is_loose(truth, answer):
        return False


class Pagemap(Question):
    """The words of a mapping, in which entries are told from all else, with swap and slot."""

    def __init__(self, setup, factory, first, count):
        self.first, self.count = first, count
        start = factory.number("address") + (first << 12)
        super().__init__(setup.ctl, ["pagemap", f"--pid={factory.field['pid']}",
                                     f"--range={start:x}+{count}", "--format=raw"])
        self.partial = True

    def runs(self):
        ret = []
        for at, (word,) in enumerate(struct.iter_unpack("=Q", self.output)):
            is_entry = word >> 62 == 1
            kcore_truth.add(ret, Run(self.first + at, 1, "entry" if is_entry else "nothing",
                                     word & 31 if is_entry else None,
                                     word >> 5 & (1 << 50) - 1 if is_entry else None, False))
        return ret

    def is_right(self, truth, answer):
        if truth.slot is None:
            return answer.state == "nothing" or truth.state == "poisoned"
        return answer.state == "entry" and truth[3:5] == answer[3:5]

    @staticmethod
    def is_loose(truth, answer):
        return truth.state == "poisoned"


# ---- one object ------------------------------------------------------------------------------


class Setup:
    def __init__(self, options):
        self.ctl, self.factory, self.pages = options.ctl, options.factory, None
        release = tuple(int(n) for n in os.uname().release.split("-")[0].split("+")[0].split(".")[:2])
        self.old = release < (6, 5)  # without cachestat
        self.oracle = kcore_truth.Oracle(kcore_btf.kernel())


def selectors(factory):
    """The id, if it names one object, and a descriptor or a mapping."""
    pid = f"--pid={factory.field['pid']}"
    if factory.number("fd", -1) >= 0:
        other = [pid, f"--fd={factory.field['fd']}"]
    else:
        other = [pid, f"--address={factory.field['address']}"]
    return ([factory.field["id"]] if factory.number("byid", 1) else other), other


def questions(setup, factory):
    selector, other = selectors(factory)
    yield Dump(setup, selector, "walk")
    yield Dump(setup, other, "portable")
    yield Dump(setup, selector, "verify")
    yield Locate(setup, other)
    if factory.number("address"):
        first = factory.number("copies")  # those are the process's own, and no pages of the object
        count = min(mapped_pages(factory), factory.number("pages"), MANY_WORDS) - first
        if count > 0:
            yield Pagemap(setup, factory, first, count)


def mapped_pages(factory):
    """How many pages are mapped from the address on that the factory named."""
    end = factory.number("address")
    with open(f"/proc/{factory.field['pid']}/maps", encoding="utf-8") as maps:
        for line in maps:
            borders = [int(n, 16) for n in line.split()[0].split("-")]
            if borders[0] == end:
                end = borders[1]
    return (end - factory.number("address")) >> 12


class Check:
    """The comparison of every answer about one object with the truth about it."""

    def __init__(self, setup, factory):
        self.tally = Tally()
        self.messages = []
        self.states = {}
        self.pages = factory.number("pages")
        where = (int(factory.field["pid"]), factory.number("fd", -1), factory.number("address"),
                 self.pages, factory.moves)
        before = setup.oracle.look(*where)
        factory.move()
        asked = list(questions(setup, factory))  # at the same time: they must not mind each other
        for question in asked:
            question.wait()
        after = setup.oracle.look(*where)
        self.truth = before if before == after else agreed(before, after)
        self.count_states()
        for question in asked:
            self.check(question)

    def count_states(self):
        for run in self.truth:
            self.states[run.state] = self.states.get(run.state, 0) + run.count

    def check(self, question):
        complaint = question.complaint()
        if complaint:
            self.messages.append(f"{question.what}: {complaint}")
            return
        tally, shown = Tally(), 0
        for first, count, truth, answer in beside(self.truth, question.runs()):
            if truth is None:
                self.messages.append(f"{question.what}: says something of pages {first}+{count}")
                continue
            if answer is None and question.partial:
                continue
            answer = answer or Run(first, count, "nothing", None, None, False)
            if truth.state == "moved":
                tally.moved += count
                continue
            right = question.is_right(truth, answer)
            if right and truth.state == "hole" and self.pages >= MANY_PAGES:
                continue
            tally.compared += count
            if right:
                tally.loose += count if question.is_loose(truth, answer) else 0
                continue
            tally.wrong += count
            shown += 1
            if shown <= SHOWN:
                self.messages.append(f"{question.what}: pages {first}+{count} are {describe(answer)}, "
                                     f"in the kernel {describe(truth)}")
        self.tally.add(tally)


def describe(run):
    return run.state if run.slot is None else f"{run.state} {run.type}:{run.slot}"


# ---- all -------------------------------------------------------------------------------------


def check_scenario(setup, name):
    """The check, or the word for what came of it and the factory's reason."""
    for attempt in range(ATTEMPTS):
        factory = Factory(setup.factory, name, setup.pages)
        if factory.ready and factory.field.get("states") == "none":
            factory.stop()
            return "SKIP", "no states"
        try:
            check = Check(setup, factory) if factory.ready else None
        except kcore_truth.Moved as moved:
            return "FAIL", f"what the kernel has does not fit together: {moved}"
        finally:
            code = factory.stop()
        if check:
            return None, check
        if code == CANNOT:
            return "SKIP", factory.line
        time.sleep(1)
    return "FAIL", factory.line


def run(setup, name):
    """One scenario, in one line and what was wrong. Its tally, and whether it was good."""
    start = time.monotonic()
    word, result = check_scenario(setup, name)
    if word:
        print(f"{word} {name}: {result}")
        return Tally(), word != "FAIL"
    for message in result.messages:
        print(f"     {message}")
    good = not result.messages and not result.tally.wrong
    numbers = " ".join(f"{k}={v}" for k, v in vars(result.tally).items())
    states = " ".join(f"{k}={v}" for k, v in sorted(result.states.items()))
    print(f"{'ok' if good else 'FAIL'} {name} {numbers} ({states}) {time.monotonic() - start:.1f} s")
    return result.tally, good


def wanted(options, needs, usual):
    """Scenarios of the factory that suit the swap, and are asked for."""
    listing = subprocess.run([options.factory, "--list"], capture_output=True, check=True, text=True)
    lines = (line.split("\t") for line in listing.stdout.splitlines())
    suiting = [name for name, need, _ in lines if need in needs]
    suiting += MOVERS if "swap" in needs else []
    names = options.names or (suiting if options.all else usual.split())
    return [name for name in suiting if name in names]


@contextlib.contextmanager
def temporary_swap(tempswap, kind, size):
    process = subprocess.run([tempswap, "on", kind, str(size)], stdout=subprocess.PIPE, text=True,
                             check=False)
    name = process.stdout.strip()
    try:
        yield process.returncode
    finally:
        if process.returncode == 0:
            subprocess.run([tempswap, "off", name], check=True)


def run_all(options, setup):
    """Everything on every swap. All tallies together, and how many scenarios were good and bad."""
    total, good, bad = Tally(), 0, 0
    for kind, (size, most, needs, usual) in PASSES.items():
        setup.pages = str(min(options.pages, most))
        names = wanted(options, needs, usual)
        if not names:
            continue
        print(f"== {kind}")
        with temporary_swap(options.tempswap, kind, size) as code:
            if code:
                bad += code != CANNOT or os.environ.get("CI") == "true"
                continue
            for name in names:
                tally, is_good = run(setup, name)
                total.add(tally)
                good += is_good
                bad += not is_good
    return total, good, bad


def stop(_number, _frame):
    sys.exit(130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n\n", maxsplit=1)[0])
    parser.add_argument("--ctl", required=True)
    parser.add_argument("--factory", required=True)
    parser.add_argument("--tempswap", required=True)
    parser.add_argument("--pages", type=int, default=4096, help="of an object")
    parser.add_argument("--all", action="store_true", help="every scenario, not the usual ones")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    sys.stdout.reconfigure(line_buffering=True)
    total, good, bad = run_all(options, Setup(options))
    if not good and not bad:
        print("SKIP kcore: no temporary swap can be set up here")
        return CANNOT
    print(f"{total.loose} loose, {total.moved} moved meanwhile; {good} passed or skipped, {bad} failed")
    print(f"== all: {total.compared} page comparisons, {total.wrong} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

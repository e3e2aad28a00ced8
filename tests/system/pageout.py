# SPDX-License-Identifier: LGPL-2.1-or-later
"""
pageout.py SET [SCENARIO...] - has shmstatectl page out objects, and compares what it says with what
smaps and mincore say of mappings of their own (ram-oracle). Started by tests/system/pageout, on the
swap that SET is made for: usual, small (8 MiB) or none.
"""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from pageout_huge import huge_cap, huge_mixed, huge_part, huge_rate, huge_rounds, large_folios
from pageout_objects import (MIB, OUT, PAGE, PATIENCE, Asker, Victim, check, count_out, expect, failures, in_page_table,
                             oracle, others_page_out, service)

PAGES = 8 * MIB // PAGE
HALF = PAGES // 2
TRIES = 5
PROGRESS = re.compile(r"\rshmstatectl: paging out page (\d+) of (\d+), (\d+) s\x1b\[K")
GONE = "\r\x1b[K"


def written(kind="memfd", *arguments):
    victim = Victim(kind, PAGES, *arguments)
    victim.tell("write")
    return victim


def everything(ask):
    with written() as victim:
        answer = ask.pageout(*victim.select)
        states = oracle(victim.path)
        expect("everything", answer, 0, left=PAGES)
        check(count_out(states) == PAGES, f"everything: the oracle says {count_out(states)} pages are out")
        # zram leaves nothing in the swap cache
        check(not SYNCHRONOUS or states.count("swapped") == answer.outcomes["swapped"] == PAGES,
              f"everything: on zram: {answer}")
        # and once more
        expect("everything, again", ask.pageout(*victim.select), 0, was_out=PAGES)
        victim.tell("check")
        check(count_out(oracle(victim.path)) == 0, "everything: it did not come back")


def dry_run(ask):
    with written() as victim:
        victim.tell("punch", 0, 64)
        before = oracle(victim.path)
        answer = ask.pageout(*victim.select, "--dry-run")
        expect("dry-run", answer, 0, movable=PAGES - 64, absent=64)
        check(oracle(victim.path) == before, "dry-run: it changed something")
        answer = ask.pageout(*victim.select, "--dry-run", "--max=1M")
        expect("dry-run, a part", answer, 0, movable=256, absent=64, not_tried=PAGES - 320)


def mapped_twice(ask):
    with written() as victim, Victim("adopt", PAGES, victim.path) as other:
        other.tell("write", 0, HALF)  # to read would map their neighbours too
        code, out, err = ask.run("pageout", *id_of(victim))
        check(code == 1 and not out and "2 processes map it" in err, f"mapped-twice: without --pid: {code} {err}")
        before = oracle(victim.path)
        answer = ask.pageout(*victim.select, "--dry-run")
        expect("mapped-twice, dry", answer, 3, mapped_twice=HALF, movable=PAGES - HALF)
        check(oracle(victim.path) == before, "mapped-twice: the dry run changed something")
        answer = ask.pageout(*victim.select)
        expect("mapped-twice", answer, 3, mapped_twice=HALF, left=PAGES - HALF)
        states = oracle(victim.path)
        check(count_out(states[:HALF]) == 0 and count_out(states[HALF:]) == PAGES - HALF,
              "mapped-twice: the wrong ones left")
        # seen from the other, which has half of it in its page table
        expect("mapped-twice, the other", ask.pageout(*id_of(victim), f"--pid={other.pid}"), 3, mapped_twice=HALF,
               was_out=PAGES - HALF)


def one_process_twice(ask):
    with written() as victim:
        victim.tell("again", 0, HALF)
        expect("one-process-twice", ask.pageout(*victim.select), 3, mapped_twice=HALF, left=PAGES - HALF)


def locked(ask):
    with written() as victim:
        victim.tell("lock", HALF, 100)
        expect("locked, dry", ask.pageout(*victim.select, "--dry-run"), 3, locked=100, movable=PAGES - 100)
        expect("locked", ask.pageout(*victim.select), 3, locked=100, left=PAGES - 100)
        states = oracle(victim.path)
        check(count_out(states) == PAGES - 100 and count_out(states[HALF:HALF + 100]) == 0,
              "locked: the wrong ones left")
        # what was locked is not so for ever
        victim.tell("unlock", HALF, 100)
        expect("locked, and unlocked", ask.pageout(*victim.select), 0, left=100, was_out=PAGES - 100)


def segment_locked(ask):
    with written("sysv") as victim:
        victim.tell("shmlock")
        expect("segment-locked", ask.pageout(*victim.select), 3, locked=PAGES)
        check(count_out(oracle(victim.path)) == 0, "segment-locked: something left")


def no_pte(ask):
    with Victim("memfd", PAGES) as victim:
        victim.tell("write", 0, HALF)
        victim.tell("put", HALF, 100)
        victim.tell("allocate", HALF + 100, 100)
        answer = ask.pageout(*victim.select)
        expect("no-pte", answer, 3, left=HALF, no_pte=200, absent=PAGES - HALF - 200)
        check(count_out(oracle(victim.path)) == HALF, "no-pte: the oracle counts others")


def not_mapped(ask):
    with written() as victim:
        victim.tell("unmap", HALF, 100)
        expect("not-mapped, dry", ask.pageout(*victim.select, "--dry-run"), 3, movable=PAGES - 100, not_mapped=100)
        expect("not-mapped", ask.pageout(*victim.select), 3, left=PAGES - 100, not_mapped=100)


def private_only(ask):
    with Victim("private", PAGES) as victim:
        victim.tell("put")
        victim.tell("read")
        code, out, err = ask.run("pageout", *victim.select)
        check(code == 1 and not out and "no process maps it shared" in err, f"private-only: {code} {err}")


def kinds(ask):
    with written("sysv") as victim:
        expect("sysv", ask.pageout(*victim.select), 0, left=PAGES)
        check(count_out(oracle(victim.path)) == PAGES, "sysv: the oracle counts others")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = os.path.join(folder, "file")
        with written("tmpfs", path) as victim:
            expect("tmpfs", ask.pageout(f"--path={path}"), 0, left=PAGES)
            check(count_out(oracle(victim.path)) == PAGES, "tmpfs: the oracle counts others")


def sparse(ask):
    """A terabyte with a page here and there: what is nothing takes no time."""
    pages = 1 << 28
    with Victim("memfd", pages) as victim:
        for first in (0, 100000, pages // 2, pages - 64):
            victim.tell("write", first, 64)
        began = time.monotonic()
        answer = ask.pageout(*victim.select)
        took = time.monotonic() - began
        expect("sparse", answer, 0, left=256, absent=pages - 256)
        check(took < PATIENCE / 2, f"sparse: it took {took:.1f} s")
        text = f"100000,64\n{pages // 2 - 10},{pages // 4}\n"
        expect("sparse, ranges", ask.pageout(*victim.select, "--ranges=-", text=text), 0, was_out=128,
               absent=pages // 4 - 64)
        victim.tell("check", pages // 2, 64)


def cap(ask):
    with written() as victim:
        answer = ask.pageout(*victim.select, "--max=1M")
        expect("cap", answer, 0, left=256, not_tried=PAGES - 256)
        check(count_out(oracle(victim.path)) == 256, "cap: the oracle counts others")
        # What is out already does not count.
        answer = ask.pageout(*victim.select, "--max=1M")
        expect("cap, on", answer, 0, left=256, was_out=256, not_tried=PAGES - 512)
        check(count_out(oracle(victim.path)) == 512, "cap, on: the oracle counts others")
    with written() as victim, Victim("adopt", PAGES, victim.path) as other:
        # Nor does what stays.
        other.tell("write", 0, 100)
        answer = ask.pageout(*victim.select, "--max=1M")
        expect("cap, what stays", answer, 3, left=256, mapped_twice=100, not_tried=PAGES - 356)


def rate(ask):
    with written() as victim:
        began = time.monotonic()
        process = ask.start("pageout", *victim.select, "--rate=4M", "--json=short")
        while process.poll() is None:
            # What is out now was advised about before now.
            out, passed = PAGES - in_page_table(victim), time.monotonic() - began
            check(out * PAGE <= 4 * MIB * (passed + 0.2), f"rate: {out} pages in {passed:.2f} s")
            time.sleep(0.1)
        took = time.monotonic() - began
        check(process.wait() == 0 and took >= 1.7, f"rate: it took {took:.2f} s")
        said = process.communicate()
        check(count_out(oracle(victim.path)) == PAGES, f"rate: not all left: {said}")


def on_terminal(command):
    """What it says on stderr, which is a terminal, and its exit status."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # that is how a terminal ends which nobody has open any more
        while more := os.read(ours, 65536):
            said += more
    os.close(ours)
    return said.decode(), process.wait(PATIENCE)


def progress(ask):
    with written() as victim:
        said, code = on_terminal([os.environ["SHMSTATECTL"], "pageout", *victim.select, "--rate=3M", *ask.options])
        # to find the object may take longer than a second, too
        said = said[said.find("\rshmstatectl: paging out"):]
        lines = [tuple(map(int, line)) for line in PROGRESS.findall(said)]
        check(code == 0 and [seconds for _, _, seconds in lines][:2] == [1, 2], f"progress: {code} {said!r}")
        done = [pages for pages, _, _ in lines]
        check(all(total == PAGES for _, total, _ in lines) and done == sorted(set(done)) and
              all(0 < pages <= PAGES for pages in done), f"progress: {said!r}")
        # a tenth of a second's pages are under way, or two
        check(all(pages * PAGE <= 3 * MIB * (seconds + 0.2) for pages, _, seconds in lines), f"progress: {said!r}")
        check(said.endswith(GONE) and PROGRESS.sub("", said) == GONE, f"progress: it stays, or more does: {said!r}")


def id_of(victim):
    found = subprocess.run([os.environ["SHMSTATECTL"], "list", *victim.select, "--direct", "--json=short"],
                           stdout=subprocess.PIPE, check=False, text=True).stdout
    return [json.loads(found)[0]["id"]]


def ranges(ask):
    asked = [(0, 10), (100, 1), (HALF, 300), (HALF + 300, 5)]
    pages = {page for first, count in asked for page in range(first, first + count)}
    csv = "first,count,address\n" + "".join(f"{first},{count},\n" for first, count in reversed(asked))
    document = json.dumps({"ranges": [{"first": first, "count": count, "address": None} for first, count in asked]})
    for text in (csv, document, document.replace("},", "},\n")):
        with written() as victim:
            expect("ranges", ask.pageout(*victim.select, "--ranges=-", text=text), 0, left=len(pages))
            states = oracle(victim.path)
            check({page for page, state in enumerate(states) if state in OUT} == pages, "ranges: others left")
    with written() as victim, tempfile.NamedTemporaryFile("w") as file:
        # What dump prints, as candidates would.
        victim.tell("punch", 0, HALF)
        _, out, _ = ask.run("dump", *victim.select, "--state=present", "--json=short")
        file.write(out)
        file.flush()
        expect("ranges, of dump", ask.pageout(*victim.select, f"--ranges={file.name}"), 0, left=PAGES - HALF)
    with written() as victim:
        expect("ranges, none", ask.pageout(*victim.select, "--ranges=-", text=""), 0)
        expect("range", ask.pageout(*victim.select, "--range=64K+64K"), 0, left=16)
        check({p for p, s in enumerate(oracle(victim.path)) if s in OUT} == set(range(16, 32)), "range: others left")


def bad_ranges(ask):
    with written() as victim, written() as other:
        ours, theirs = id_of(victim)[0], id_of(other)[0]
        for code, words, text in (
                (2, "line 2: \"1,x\": expected FIRST,COUNT, in pages", "0,1\n1,x\n"),
                (2, "range 2: ", '{"ranges":[{"first":0,"count":1},{"first":1}]}'),
                (2, "line 1: ", '{"ranges":['),
                (1, f"pages {PAGES}+1: the object has {PAGES} pages", f"0,1\n{PAGES},1\n"),
                (1, f"they are of object {theirs}", f'{{"object":"{theirs}","ranges":[{{"first":0,"count":1}}]}}')):
            got, out, err = ask.run("pageout", *victim.select, "--ranges=-", text=text)
            check(got == code and not out and words in err and err.count("\n") == 1,
                  f"bad-ranges {text!r}: {got} {err}")
        got, out, err = ask.run("pageout", *victim.select, f"--range={PAGES}+1")
        check(got == 1 and not out and err.count("\n") == 1, f"bad-ranges: --range: {got} {err}")
        got, out, err = ask.run("pageout", *victim.select, "--ranges=/nil/nil")
        check(got == 1 and not out and "No such file" in err, f"bad-ranges: no file: {got} {err}")
        check(count_out(oracle(victim.path)) == count_out(oracle(other.path)) == 0, "bad-ranges: something left")
        text = f'{{"object":"{ours}","ranges":[{{"first":0,"count":1}}]}}'
        expect("bad-ranges, good", ask.pageout(*victim.select, "--ranges=-", text=text), 0, left=1)


def await_first(victim):
    """Until some of it has left."""
    deadline = time.monotonic() + PATIENCE
    while count_out(oracle(victim.path)) == 0 and time.monotonic() < deadline:
        time.sleep(0.1)


def interrupted(ask):
    with written() as victim:
        process = ask.start("pageout", *victim.select, "--rate=1M", "--json=short")
        await_first(victim)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        result = json.loads(out)
        left = result["leftPages"]
        check(process.returncode == 3 and result["interrupted"] and "interrupted" in err,
              f"interrupted: {process.returncode} {err}")
        check(0 < left < PAGES and left + result["outcomes"]["not_tried"] == PAGES, f"interrupted: {result}")
        check(count_out(oracle(victim.path)) == left, "interrupted: the oracle counts others")


def process_ends(ask):
    with written() as victim, open(victim.path, "rb"):
        process = ask.start("pageout", *victim.select, "--rate=1M", "--json=short")
        await_first(victim)
        victim.kill()
        out, err = process.communicate(timeout=PATIENCE)
        check(process.returncode == 1 and f"process {victim.pid} has ended" in err,
              f"process-ends: {process.returncode} {err}")
        check(json.loads(out)["leftPages"] < PAGES, "process-ends: all left")


def mapping_changes(ask):
    """What stands in its place is another object, and stays."""
    with written() as victim:
        process = ask.start("pageout", *victim.select, "--rate=2M", "--json=short")
        await_first(victim)
        other = int(victim.tell("replace", HALF, HALF))
        out, err = process.communicate(timeout=PATIENCE)
        outcomes = json.loads(out)["outcomes"]
        # A few of these pages, that nobody maps now, may be paged out by others.
        there = outcomes["not_mapped"] + outcomes["out_before"] + outcomes["cached_before"]
        check(process.returncode == 3 and there == HALF and outcomes["not_mapped"] > HALF * 0.9,
              f"mapping-changes: {process.returncode} {outcomes} {err}")
        check(count_out(oracle(f"/proc/{victim.pid}/fd/{other}")) == 0, "mapping-changes: another object's pages left")


def used_meanwhile(ask):
    with written() as victim:
        victim.tell("hammer", 0, 256)
        answer = ask.pageout(*victim.select)
        victim.tell("rest")
        got = answer.outcomes
        moving = got["touched"] + got["stayed"]
        check(moving <= 256 and answer.left + moving == PAGES and answer.left >= PAGES - 256,
              f"used-meanwhile: {answer}")
        check(answer.code == (3 if moving else 0), f"used-meanwhile: {answer}")
        victim.tell("check")


def not_permitted(ask):
    if not shutil.which("setpriv"):
        print("not tried: not-permitted: no setpriv", flush=True)
        return
    with written() as victim:
        command = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", os.environ["SHMSTATECTL"], "pageout",
                   *victim.select, *ask.options]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
        check(done.returncode == 1 and not done.stdout and "CAP_SYS_NICE" in done.stderr and
              done.stderr.count("\n") == 1, f"not-permitted: {done.returncode} {done.stderr}")
        check(count_out(oracle(victim.path)) == 0, "not-permitted: something left")


def formats(ask):
    with written() as victim:
        code, out, err = ask.run("pageout", *victim.select, "--range=0+10")
        check(code == 0 and not err and f"Process: {victim.pid}" in out and "OUTCOME" in out,
              f"formats: table: {out}{err}")
        code, out, err = ask.run("pageout", *victim.select, "--format=csv", "--range=0+20")
        rows = {line.split(",")[2]: int(line.split(",")[0]) for line in out.splitlines()[1:]}
        check(code == 0 and not err and out.startswith("pages,bytes,outcome,meaning\n"), f"formats: csv: {out}{err}")
        check(sum(rows.values()) == 20 and rows["swapped"] + rows["swap_cache"] == 10, f"formats: csv: {rows}")


def no_room(ask):
    """The swap has room for a half of it, less its header."""
    with Victim("memfd", 2 * PAGES) as victim:
        victim.tell("write")
        answer = ask.pageout(*victim.select)
        expect("no-room", answer, 3, left=answer.left, no_room=2 * PAGES - answer.left)
        check(PAGES - 64 <= answer.left < PAGES, f"no-room: {answer}")
        check(count_out(oracle(victim.path)) == answer.left, "no-room: the oracle counts others")
        # It is full, and nothing is even tried.
        faults = minor_faults(victim.pid)
        again = ask.pageout(*victim.select)
        # The one at which it was full has lost its place in the page table to that.
        lost = again.outcomes["no_pte"]
        expect("no-room, again", again, 3, was_out=answer.left, no_room=2 * PAGES - answer.left - lost, no_pte=lost)
        check(lost <= 32, f"no-room, again: {again}")
        victim.tell("read", 2 * PAGES - 256, 256)
        check(minor_faults(victim.pid) - faults < 128, "no-room: the process lost its page table to it")


def minor_faults(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[7])


def no_swap(ask):
    with written() as victim:
        code, out, err = ask.run("pageout", *victim.select)
        check(code == 1 and not out and "no swap is on" in err and err.count("\n") == 1, f"no-swap: {code} {err}")


SETS = {
    "usual": (everything, dry_run, mapped_twice, one_process_twice, locked, segment_locked, no_pte, not_mapped,
              private_only, kinds, sparse, cap, rate, ranges, bad_ranges, interrupted, process_ends, mapping_changes,
              used_meanwhile, not_permitted, formats, progress, huge_rate, huge_cap, huge_mixed, huge_part,
              huge_rounds, large_folios),
    "small": (no_room,),
    "none": (no_swap,),
}


def run(scenario, ask, what, tries):
    """Where others move pages too it is tried anew; what is wrong is so each time."""
    for left in range(tries - 1, -1, -1):
        failures.clear()
        began = time.monotonic()
        scenario(ask)
        took = time.monotonic() - began
        for failure in failures:
            print(f"{'again' if left else 'FAIL'}: {failure}", flush=True)
        if not failures:
            print(f"{what}: ok, {took:.1f} s", flush=True)
            return True
    print(f"{what}: FAILED", flush=True)
    return False


def main():
    chosen, failed = sys.argv[2:], 0
    tries = TRIES if others_page_out() else 1
    with service() as socket:
        askers = Asker("directly", "--direct"), Asker("by the service", f"--socket={socket}")
        for number, scenario in enumerate(SETS[sys.argv[1]]):
            name = scenario.__name__.replace("_", "-")
            if chosen and name not in chosen:
                continue
            # in turn, where each takes long
            for ask in askers[number % 2:][:1] if os.environ.get("SHMSTATE_TEST_BRIEF") else askers:
                failed += not run(scenario, ask, f"{name} {ask.name}", tries)
    print(f"pageout: {failed} failures", flush=True)
    return failed > 0


def is_synchronous():
    with open("/proc/swaps", encoding="ascii") as file:
        lines = file.read().splitlines()[1:]
    return len(lines) == 1 and lines[0].startswith("/dev/zram")


SYNCHRONOUS = is_synchronous()

if __name__ == "__main__":
    sys.exit(main())

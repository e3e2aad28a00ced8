# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the kernel's own structures say of the pages of an object, read over /proc/kcore.

Written from the kernel's sources and BTF, and from nothing that shmstate has: where the two do not
agree, one of them is wrong. Everything read is checked against something else that the kernel keeps
(a node knows its parent and how many slots it has in use, a folio its index and its swap entry), since
nothing here holds a lock: what does not fit was caught on the move, and is read again.
"""

import random
import struct
from collections import namedtuple

from drgn import FaultError, Object, offsetof, sizeof
from drgn.helpers.linux.fs import fget
from drgn.helpers.linux.mm import vma_find
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.xarray import xa_load

# A stretch of pages in one state. Of entries: swap and slot of the first page; large: it is a part
# of an entry of many pages.
Run = namedtuple("Run", "first count state type slot large")

SLOTS = 64
ENTRY_SHIFT = 58  # swp_type(): above it
SPACE_SHIFT = 14  # until 6.17 the swap cache is in pieces of that many slots
LARGEST_FOLIO = 512
TRIES = 20
SAMPLE = 8


class Moved(Exception):
    """What was read does not fit together."""


class Oracle:
    def __init__(self, prog):
        self.prog = prog
        folio = prog.type("struct folio")
        # until 6.5 a folio keeps its swap entry where it keeps what it likes
        entry = "swap" if any(m.name == "swap" for m in flat(folio)) else "private"
        self.folio_fields = [offsetof(folio, n) for n in ("flags", "mapping", "index", entry)]
        self.node_type = prog.type("struct xa_node")
        self.node_at = {n: offsetof(self.node_type, n)
                        for n in ("shift", "offset", "count", "parent", "array", "slots")}
        self.head_at = offsetof(prog.type("struct xarray"), "xa_head")
        self.bits = {n: prog.constant(n).value_() for n in ("PG_uptodate", "PG_swapcache")}
        self.has_tables = any(m.name == "table" for m in flat(prog.type("struct swap_cluster_info")))
        self.random = random.Random(0)
        self.pages = {}

    # ---- memory -----------------------------------------------------------------------------

    def page(self, number):
        """Read once a look: the folios of an object lie close together, as slots of a swap do."""
        if number not in self.pages:
            self.pages[number] = self.prog.read(number << 12, 4096)
        return self.pages[number]

    def word(self, address):
        return struct.unpack_from("=Q", self.page(address >> 12), address & 4095)[0]

    # ---- an object --------------------------------------------------------------------------

    def inode(self, pid, fd, address):
        """Of the descriptor if there is one, else of what is mapped there."""
        task = find_task(self.prog, pid)
        file = fget(task, fd) if fd >= 0 else vma_find(task.mm, address).vm_file
        return file.f_inode.read_()

    def look(self, pid, fd, address, size, moves=False):
        """
        The states of an object of that many pages, as runs in order. What is caught on the move is
        "moved" in an object that is known to move; else everything is read again.
        """
        self.moves = moves
        mapping = self.inode(pid, fd, address).i_mapping.read_()
        for left in reversed(range(TRIES)):
            try:
                return self.try_look(mapping, size)
            except (Moved, FaultError):
                if not left:
                    raise
        return None

    def try_look(self, mapping, size):
        self.pages = {}
        self.swaps = self.prog["nr_swapfiles"].value_()
        self.cache = SwapTables(self) if self.has_tables else SwapSpaces(self)
        xarray = mapping.i_pages.address_of_()
        entries = list(self.entries(xarray.value_()))
        if not self.moves:
            self.check_sample(xarray, entries)
        found = [self.runs_of(mapping.value_(), *entry) for entry in entries]
        # One that was swapped in had left the swap cache before that was looked at, perhaps; then its
        # entry is gone by now, for a folio comes into the page cache first.
        same = set(self.entries(xarray.value_()))
        runs, end = [], 0
        for entry, of_entry in zip(entries, found):
            index, count, _ = entry
            add(runs, Run(end, index - end, "hole", None, None, False))
            for run in of_entry if entry in same else self.moved(index, count, "an entry that went"):
                add(runs, run)
            end = index + count
        add(runs, Run(end, max(size - end, 0), "hole", None, None, False))
        return cut(runs, size)

    def moved(self, index, count, why):
        if not self.moves:
            raise Moved(f"index {index}: {why}")
        return [Run(index, count, "moved", None, None, False)]

    def check_sample(self, xarray, entries):
        """drgn has a way of its own to look up an index: is it the same?"""
        for index, count, word in self.random.sample(entries, min(SAMPLE, len(entries))):
            if xa_load(xarray, index + self.random.randrange(count)).value_() != word:
                raise Moved(f"index {index}: drgn finds something else")

    # ---- an xarray --------------------------------------------------------------------------

    def entries(self, xarray):
        """(index, how many, word), in order. A large entry comes once."""
        head = struct.unpack("=Q", self.prog.read(xarray + self.head_at, 8))[0]
        if is_node(head):
            yield from self.entries_below(xarray, head - 2, 0, 0, 0)
        elif head & 3 == 2:
            raise Moved(f"head {head:#x}")
        elif head:
            yield 0, 1, head

    def entries_below(self, xarray, address, index, parent, place):
        raw = self.prog.read(address, sizeof(self.node_type))
        shift = raw[self.node_at["shift"]]
        words = struct.unpack_from(f"={SLOTS}Q", raw, self.node_at["slots"])
        self.check_node(raw, words, xarray, parent, place)
        k = 0
        while k < SLOTS:
            word, span = words[k], 1
            if is_node(word):
                yield from self.entries_below(xarray, word - 2, index + (k << shift), address, k)
            elif word:
                if word & 3 == 2:  # a retry entry, or a sibling of nothing
                    raise Moved(f"index {index + (k << shift)}: {word:#x}")
                while k + span < SLOTS and words[k + span] == k << 2 | 2:
                    span += 1
                yield index + (k << shift), span << shift, word
            k += span

    def check_node(self, raw, words, xarray, parent, place):
        at = self.node_at
        is_parent, is_array = (struct.unpack_from("=Q", raw, at[n])[0] for n in ("parent", "array"))
        if (is_array, is_parent) != (xarray, parent) or (parent and raw[at["offset"]] != place):
            raise Moved("a node of something else")
        if raw[at["count"]] != sum(map(bool, words)):
            raise Moved("a node that is being changed")

    # ---- what a slot of the page cache holds ------------------------------------------------

    def runs_of(self, mapping, index, count, word):
        try:
            return self.entry_runs(index, count, word) if word & 1 else [
                Run(index, count, self.folio_state(mapping, index, word), None, None, count > 1)]
        except Moved as why:
            return self.moved(index, count, why)

    def folio_state(self, mapping, index, folio):
        flags, *owner, _ = self.folio(folio)
        if owner != [mapping, index]:
            raise Moved(f"folio {folio:#x} of something else")
        return "present" if flags >> self.bits["PG_uptodate"] & 1 else "allocated"

    def entry_runs(self, index, count, word):
        swap, slot = split_entry(word >> 1)
        # types behind those of swaps are markers of what has been lost
        if swap >= self.swaps:
            return [Run(index, count, "poisoned", None, None, count > 1)]
        return [Run(index + i, 1, "swap_cache" if self.cache.holds(swap, slot + i) else "swapped",
                    swap, slot + i, count > 1) for i in range(count)]

    def folio(self, address):
        return [self.word(address + at) for at in self.folio_fields]

    def check_cached(self, folio, swap, slot):
        """A folio in the swap cache knows the entry of its first page."""
        flags, _, _, entry = self.folio(folio)
        is_swap, first = split_entry(entry)
        if (not flags >> self.bits["PG_swapcache"] & 1 or is_swap != swap
                or not first <= slot < first + LARGEST_FOLIO):
            raise Moved(f"slot {slot}: folio {folio:#x} has the entry {entry:#x}")


# ---- the swap cache --------------------------------------------------------------------------


class SwapSpaces:
    """Until 6.17: page caches, one for each 1 << 14 slots, by slot or by what is left of it."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.folios = {}  # by (swap, slot >> 14): those of one piece, by slot

    def holds(self, swap, slot):
        piece = slot >> SPACE_SHIFT
        if (swap, piece) not in self.folios:
            self.folios[swap, piece] = self.read(swap, piece)
        folio = self.folios[swap, piece].get(slot)
        if folio:
            self.oracle.check_cached(folio, swap, slot)
        return bool(folio)

    def read(self, swap, piece):
        ret, mask = {}, (1 << SPACE_SHIFT) - 1
        space = self.oracle.prog["swapper_spaces"][swap][piece]
        for index, count, word in self.oracle.entries(space.i_pages.address_of_().value_()):
            if word & 1:  # remembers only when it went
                continue
            for i in range(count):
                ret[piece << SPACE_SHIFT | (index + i) & mask] = word
        return ret


class SwapTables:
    """From 6.18: a word a slot, in tables by cluster."""

    def __init__(self, oracle):
        self.oracle, self.prog = oracle, oracle.prog
        self.slots = sizeof(self.prog.type("struct swap_table")) // 8
        self.pages = self.prog["vmemmap_base"].value_()  # x86: where the array of struct page is
        self.tables = {}  # addresses, by (swap, cluster)

    def holds(self, swap, slot):
        table = self.table(swap, slot // self.slots)
        word = self.oracle.word(table + slot % self.slots * 8) if table else 0
        folio = self.folio(word)
        if folio:
            self.oracle.check_cached(folio, swap, slot)
        return bool(folio)

    def table(self, swap, cluster):
        if (swap, cluster) not in self.tables:
            info = self.prog["swap_info"][swap].cluster_info[cluster]
            self.tables[swap, cluster] = info.table.value_()
        return self.tables[swap, cluster]

    def folio(self, word):
        """
        The folio that a word names: 6.18 has a pointer to it, 7.1 the number of its first page,
        between 2 bits that say so and 5 of flags.
        """
        if not word or word & 1:  # free, or what remembers when it went
            return 0
        if word & 3 == 2:
            number = (word & (1 << 59) - 1) >> 2
            return (Object(self.prog, "struct page *", self.pages) + number).value_()
        if word & 7:
            raise Moved(f"a word {word:#x} in a swap table")
        return word


# ---- runs -----------------------------------------------------------------------------------


def flat(kind):
    """Members, with those of members that have no name."""
    for member in kind.members:
        if member.name:
            yield member
        else:
            yield from flat(member.type)


def is_node(word):
    return word & 3 == 2 and word > 4096


def split_entry(value):
    return value >> ENTRY_SHIFT, value & (1 << ENTRY_SHIFT) - 1


def follows(run, before):
    """Whether a run goes on where the one before ends, in everything."""
    return (run.first == before.first + before.count and run[2:4] == before[2:4]
            and run.large == before.large
            and (run.slot is None or run.slot == before.slot + before.count))


def add(runs, run):
    if run.count == 0:
        return
    if runs and follows(run, runs[-1]):
        first, count, *same = runs[-1]
        runs[-1] = Run(first, count + run.count, *same)
    else:
        runs.append(run)


def cut(runs, size):
    """Without what lies behind the end: fallocate may have put something there."""
    return [r._replace(count=min(r.count, size - r.first)) for r in runs if r.first < size]


def beside(left, right):
    """
    Two rows of runs beside each other: (first, count, run, run), each of the pieces in one run of
    each, with slot and first put right for it; None where a row has nothing.
    """
    borders = sorted({at for row in (left, right) for r in row
                      for at in (r.first, r.first + r.count)})
    rows = [iter_at(left), iter_at(right)]
    for first, end in zip(borders, borders[1:]):
        yield first, end - first, *(row(first, end - first) for row in rows)


def iter_at(row):
    position = 0

    def piece(first, count):
        nonlocal position
        while position < len(row) and row[position].first + row[position].count <= first:
            position += 1
        if position == len(row) or row[position].first > first:
            return None
        run = row[position]
        if (run.first, run.count) == (first, count):
            return run
        slot = None if run.slot is None else run.slot + first - run.first
        return Run(first, count, run.state, run.type, slot, run.large)

    return piece


def agreed(before, after):
    """The truth: what both looks said; "moved" where they did not."""
    ret = []
    for first, count, one, other in beside(before, after):
        if one == other:
            add(ret, one)
        else:
            add(ret, Run(first, count, "moved", None, None, False))
    return ret

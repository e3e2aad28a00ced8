# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The types and symbols of the running kernel, for drgn, without DWARF.

drgn 0.0.31 (Debian 13) knows no BTF. /sys/kernel/btf/vmlinux is read here and handed to it as a type
finder, with the kernel's enumerators, and with variables by name: BTF tells the type of hardly any
variable, so the few that are wanted stand in a table, and /proc/kallsyms tells where they are.
"""

import functools
import struct

from drgn import FindObjectFlags, Object, Program, Qualifiers, TypeEnumerator, TypeKind, TypeMember

VARIABLES = {
    "init_pid_ns": "struct pid_namespace",
    "nr_swapfiles": "unsigned int",
    "swap_info": "struct swap_info_struct *[32]",
    "swapper_spaces": "struct address_space *[32]",
    "vmemmap_base": "unsigned long",
}

(
    INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO,
    VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64,
) = range(1, 20)

# Bytes behind the three words that every type has: once, and for each of its elements.
TAIL = {
    INT: (4, 0), ARRAY: (12, 0), STRUCT: (0, 12), UNION: (0, 12), ENUM: (0, 8), FUNC_PROTO: (0, 8),
    VAR: (4, 0), DATASEC: (0, 12), DECL_TAG: (4, 0), ENUM64: (0, 12),
}

INT_SIGNED, INT_BOOL = 1, 4

KINDS = {
    TypeKind.STRUCT: (STRUCT,),
    TypeKind.UNION: (UNION,),
    TypeKind.ENUM: (ENUM, ENUM64),
    TypeKind.TYPEDEF: (TYPEDEF,),
    TypeKind.INT: (INT,),
    TypeKind.BOOL: (INT,),
    TypeKind.FLOAT: (FLOAT,),
}

QUALIFIERS = {
    CONST: Qualifiers.CONST, VOLATILE: Qualifiers.VOLATILE, RESTRICT: Qualifiers.RESTRICT,
}


class Btf:
    """One BTF blob. Types are numbers; drgn's are made of them when they are first asked for."""

    def __init__(self, prog, data):
        magic, _, _, header, types, length, strings, _ = struct.unpack_from("=HBBIIIII", data)
        if magic != 0xEB9F:
            raise ValueError("not BTF, or of the other byte order")
        self.prog = prog
        self.data = data
        self.strings = header + strings
        self.index(header + types, header + types + length)
        self.made = {}

    def index(self, at, end):
        """Where each type is, and which have a name, by (kind, offset of the name)."""
        self.at = [0]
        self.named = {}
        self.enums = []
        unpack, data = struct.Struct("=II").unpack_from, self.data
        while at < end:
            name, info = unpack(data, at)
            kind = info >> 24 & 0x1F
            once, each = TAIL.get(kind, (0, 0))
            if name:
                self.named.setdefault((kind, name), len(self.at))
            if kind in (ENUM, ENUM64):
                self.enums.append(len(self.at))
            self.at.append(at)
            at += 12 + once + each * (info & 0xFFFF)

    # ---- names ------------------------------------------------------------------------------

    def name(self, offset):
        at = self.strings + offset
        return self.data[at : self.data.index(b"\0", at)].decode() if offset else None

    def name_offset(self, name):
        """Where a name is: each is there once. 0 if it is not."""
        at = self.data.find(b"\0" + name.encode() + b"\0", self.strings)
        return at + 1 - self.strings if at >= 0 else 0

    @functools.cached_property
    def enumerators(self):
        """Offset of the name: the enum's number."""
        ret = {}
        for number in self.enums:
            at = self.at[number]
            info = self.word(at + 4)
            each = TAIL[info >> 24 & 0x1F][1]
            for k in range(info & 0xFFFF):
                ret.setdefault(self.word(at + 12 + k * each), number)
        return ret

    def word(self, at):
        return struct.unpack_from("=I", self.data, at)[0]

    # ---- types ------------------------------------------------------------------------------

    def find(self, kinds, name):
        offset = self.name_offset(name)
        for kind in kinds if offset else ():
            number = self.named.get((kind, offset))
            if number:
                return self.type(number)
        return None

    def type(self, number):
        if number not in self.made:
            self.made[number] = self.make(number)
        return self.made[number]

    def make(self, number):
        if number == 0:
            return self.prog.void_type()
        at = self.at[number]
        name, info, size = struct.unpack_from("=III", self.data, at)
        kind, count, flag = info >> 24 & 0x1F, info & 0xFFFF, info >> 31
        name = self.name(name)
        if kind == INT:
            return self.make_int(name, size, self.word(at + 12) >> 24)
        if kind == FLOAT:
            return self.prog.float_type(name, size)
        if kind == PTR:
            return self.prog.pointer_type(self.type(size))
        if kind == ARRAY:
            element, _, length = struct.unpack_from("=III", self.data, at + 12)
            return self.prog.array_type(self.type(element), length or None)
        if kind in (STRUCT, UNION):
            return self.aggregate(kind)(name, size, self.members(at + 12, count, flag))
        if kind in (ENUM, ENUM64):
            return self.make_enum(name, size, self.values(at, kind, count, flag), flag)
        if kind == FWD:
            return self.aggregate(UNION if flag else STRUCT)(name)
        if kind == TYPEDEF:
            return self.prog.typedef_type(name, self.type(size))
        if kind in QUALIFIERS:
            qualified = self.type(size)
            return qualified.qualified(qualified.qualifiers | QUALIFIERS[kind])
        if kind == TYPE_TAG:
            return self.type(size)
        if kind == FUNC_PROTO:  # what it takes matters to nobody here
            return self.prog.function_type(self.type(size), ())
        raise LookupError(f"BTF kind {kind} is no type")

    def make_int(self, name, size, encoding):
        if encoding & INT_BOOL:
            return self.prog.bool_type(name, size)
        return self.prog.int_type(name, size, bool(encoding & INT_SIGNED))

    def aggregate(self, kind):
        return self.prog.union_type if kind == UNION else self.prog.struct_type

    def members(self, at, count, has_bitfields):
        ret = []
        for k in range(count):
            name, number, offset = struct.unpack_from("=III", self.data, at + 12 * k)
            bits = offset >> 24 if has_bitfields else 0
            if has_bitfields:
                offset &= 0xFFFFFF
            # types are made late, for they go round in circles
            made = functools.partial(self.member, number, bits)
            ret.append(TypeMember(made, self.name(name), offset))
        return ret

    def member(self, number, bits):
        made = self.type(number)
        return Object(self.prog, made, bit_field_size=bits) if bits else made

    def values(self, at, kind, count, is_signed):
        for k in range(count):
            if kind == ENUM:
                name, value = struct.unpack_from("=Ii" if is_signed else "=II", self.data,
                                                 at + 12 + 8 * k)
            else:
                name, low, high = struct.unpack_from("=IIi" if is_signed else "=III", self.data,
                                                     at + 12 + 12 * k)
                value = high << 32 | low
            yield TypeEnumerator(self.name(name), value)

    def make_enum(self, name, size, values, is_signed):
        integer = self.prog.int_type(f"enum of {size} bytes", size, bool(is_signed))
        return self.prog.enum_type(name, integer, list(values))

    def constant(self, name):
        offset = self.name_offset(name)
        number = self.enumerators.get(offset) if offset else None
        if not number:
            return None
        enum = self.type(number)
        value = next(e.value for e in enum.enumerators if e.name == name)
        return Object(self.prog, enum, value=value)


def read_symbols(names):
    """Addresses of the kernel's own symbols; 0 is what one who may not know them is told."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        text = file.read()
    ret = {}
    for name in names:
        at = text.find(f" {name}\n")  # behind those of modules stands which
        address = int(text[text.rfind("\n", 0, at) + 1 : at].split()[0], 16) if at >= 0 else 0
        if address:
            ret[name] = address
    return ret


def kernel():
    """The running kernel as a drgn program. Raises what drgn raises if it cannot be read."""
    prog = Program()
    prog.set_kernel()
    with open("/sys/kernel/btf/vmlinux", "rb") as file:
        btf = Btf(prog, file.read())
    symbols = read_symbols(VARIABLES)

    def find_type(_prog, kinds, name, filename):
        if filename:
            return None
        return btf.find([k for kind in kinds for k in KINDS.get(kind, ())], name)

    def find_object(_prog, name, flags, filename):
        if filename:
            return None
        if flags & FindObjectFlags.VARIABLE and name in symbols:
            return Object(prog, VARIABLES[name], address=symbols[name])
        return btf.constant(name) if flags & FindObjectFlags.CONSTANT else None

    prog.register_type_finder("btf", find_type, enable_index=0)
    prog.register_object_finder("btf", find_object, enable_index=0)
    return prog

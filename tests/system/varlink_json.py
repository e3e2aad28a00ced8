# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Group "json": texts of tests/data/json, as whole messages and within one.
"""

import contextlib
import os

from varlink_wire import Closed, check, heading

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/json")
CALL = b'{"method":"org.varlink.service.GetInfo","com.example.corpus":%s}'


def ask(service, text):
    """The replies, and whether the connection was closed, which it is asked once more to find out."""
    replies = []
    with service.wire(quiet=True) as wire:
        with contextlib.suppress(Closed):
            wire.raw(text + b"\0")
            replies.append(wire.receive())
            wire.raw(CALL % b"0" + b"\0")
            wire.receive()
            return replies, False
    return replies, True


def judge(service, name, text):
    replies, closed = ask(service, text)
    if name.startswith("y_"):
        good = len(replies) == 1 and "error" not in replies[0] and not closed
    elif name.startswith("n_"):
        good = closed and not replies
    else:  # a parser may have bounds; but a call that it lets pass must not end the connection
        good = not replies if closed else len(replies) == 1
    check(good, f"{name}: {text[:100]}: {'closed, ' if closed else ''}{replies}")


def run(service):
    names = sorted(name for name in os.listdir(CORPUS) if name.endswith(".json"))
    heading(f"json: {len(names)} texts")
    check(len(names) > 100, f"only {len(names)} texts")
    for name in names:
        with open(os.path.join(CORPUS, name), "rb") as file:
            text = file.read()
        if "_call" in name or not name.startswith("y_"):
            judge(service, name, text)
        if "_call" not in name:
            judge(service, name + " within a call", CALL % text)
        service.lives(name)

# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Started by ctl-progress. A service that answers late: a shmstatectl on a terminal says what it waits
for, from the first second on, and takes that away before it prints anything; elsewhere it is silent.
"""

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
import tempfile
import threading

SLOW = 2.6  # seconds: two lines would be shown
PATIENCE = 60
ERROR = "io.shmstate.NoSuchObject"
LINE = re.compile(r"\rshmstatectl: ([a-z ]+), (\d+) s\x1b\[K")
GONE = "\r\x1b[K"
VERBS = (("looking at objects", ["list"]), ("looking at pages", ["dump", "--name=nil"]),
         ("trying what works", ["capabilities"]))

failures = 0


def check(good, what):
    global failures
    if not good:
        failures += 1
        print(f"FAIL: {what}", flush=True)


class Slow:
    """Every call is answered by an error, as soon as it may be."""

    def __init__(self, path):
        self.may_answer = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            with client, contextlib.suppress(OSError):
                self.answer(client)

    def answer(self, client):
        data = b""
        while more := client.recv(65536):
            data += more
            while b"\0" in data:
                _, data = data.split(b"\0", 1)
                self.may_answer.wait(PATIENCE)
                client.sendall(json.dumps({"error": ERROR, "parameters": {}}).encode() + b"\0")


def read_all(descriptor, service):
    """A terminal that nobody has open any more ends with an error. Answered is after two lines."""
    data = b""
    with contextlib.suppress(OSError):
        while more := os.read(descriptor, 65536):
            data += more
            if len(LINE.findall(data.decode())) >= 2:
                service.may_answer.set()
    os.close(descriptor)
    return data.decode()


def run(path, words, service, terminal):
    """What went to stdout, and to stderr, which is a terminal or a pipe."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen([os.environ["SHMSTATECTL"], f"--socket={path}", *words],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    said = read_all(ours, service)
    out, _ = process.communicate(timeout=PATIENCE)
    check(process.returncode == 1, f"{words}: it ended with {process.returncode}")
    return out.decode(), said


def main():
    with tempfile.TemporaryDirectory(prefix="shmstate-progress.") as folder:
        path = os.path.join(folder, "socket")
        service = Slow(path)
        for what, words in VERBS:
            service.may_answer.clear()
            out, said = run(path, words, service, terminal=True)
            lines = LINE.findall(said)
            check(lines[:2] == [(what, "1"), (what, "2")], f"{words}: on a terminal: {said!r}")
            before, gone, after = said.rpartition(GONE)
            check(gone and LINE.search(before) and not LINE.search(after), f"{words}: it stays: {said!r}")
            check(after.startswith("shmstatectl: ") and "\x1b" not in after, f"{words}: behind it: {said!r}")
            check("\x1b" not in out and "\r" not in out, f"{words}: on stdout: {out!r}")
            complaint = after.replace("\r\n", "\n")
            out, said = run(path, words, service, terminal=True)  # it may answer at once
            check(said.replace("\r\n", "\n") == complaint, f"{words}: of what was quick: {said!r}")
        service.may_answer.clear()
        threading.Timer(SLOW, service.may_answer.set).start()
        out, said = run(path, words, service, terminal=False)
        check(said == complaint, f"{words}: where there is no terminal: {said!r}")
    print(f"ctl-progress: {failures} failures")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())

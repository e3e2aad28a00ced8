# SPDX-License-Identifier: LGPL-2.1-or-later
"""
service_journal.py say SOCKET TEXT CONNECTIONS - sends TEXT on the last of so many connections, and
prints the number of this process and what came back.
service_journal.py about PID FIELD... - of a journal in JSON, the first entry about that client: a line
NAME=VALUE for each field.
"""

import contextlib
import json
import os
import socket
import sys
import time

STATUS = '{"method":"io.shmstate.GetStatus"}'


def ask(path, text):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    with contextlib.suppress(BrokenPipeError):  # turned away already: the word is there to be read
        connection.sendall(text.encode() + b"\0")
    return connection, connection.recv(65536).decode()


def say(path, text, connections):
    held = []
    while len(held) < int(connections) - 1:
        connection, reply = ask(path, STATUS)
        if '"error"' in reply:  # who was connected before has not gone yet
            time.sleep(0.1)
        else:
            held.append(connection)
    print(os.getpid(), ask(path, text)[1])


def about(pid, *fields):
    for line in sys.stdin:
        entry = json.loads(line)
        if entry.get("SHMSTATE_CLIENT_PID") == pid:
            print(*(f"{name}={entry.get(name)}" for name in fields), sep="\n")
            return


{"say": say, "about": about}[sys.argv[1]](*sys.argv[2:])

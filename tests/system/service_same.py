#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""service_same.py DIRECT REPLY FIELD... - do two files of JSON hold the same in these fields?

Prints how many pages, other than holes, were compared, or what differs; the exit status is 1 then.
"""

import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        direct = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        reply = json.load(file)
    differing = [f for f in sys.argv[3:] if direct.get(f, "nothing") != reply.get(f, "nothing")]
    for field in differing:
        print(f"{field}: directly {str(direct.get(field))[:200]}, by the service {str(reply.get(field))[:200]}")
    if not differing:
        pages = reply["counts"] if "counts" in sys.argv else reply["contents"]
        print(sum(n for state, n in pages.items() if state != "hole"))
    return bool(differing)


sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
varlink_main.py [GROUP...] - started by tests/system/varlink. The groups: protocol, parameters,
descriptors, json, limits, waiting, start, dead, errors, clients.
"""

import sys

import varlink_clients
import varlink_dead
import varlink_descriptors
import varlink_errors
import varlink_json
import varlink_limits
import varlink_parameters
import varlink_protocol
import varlink_start
import varlink_waiting
from varlink_wire import Service, report

GROUPS = {
    "protocol": varlink_protocol.run,
    "parameters": varlink_parameters.run,
    "descriptors": varlink_descriptors.run,
    "json": varlink_json.run,
    "limits": varlink_limits.run,
    "dead": varlink_dead.run,
    "errors": varlink_errors.run,
    "waiting": varlink_waiting.run,
    "start": varlink_start.run,
    "clients": varlink_clients.run,
}


def main():
    wanted = sys.argv[1:] or list(GROUPS)
    unknown = set(wanted) - set(GROUPS)
    if unknown:
        sys.exit(f"varlink: no group {' '.join(unknown)}; there are {' '.join(GROUPS)}")
    with Service() as service:
        before = service.descriptors()
        for group in wanted:
            GROUPS[group](service)
        varlink_descriptors.give_back(service, before)
    print(f"varlink: {report.tests} checks, {report.failures} failures, "
          f"{len(report.missing)} not tried")
    return report.failures > 0


if __name__ == "__main__":
    sys.exit(main())

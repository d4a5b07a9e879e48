"""What the fork server of the tests runs."""

import json
import os
import select
import sys


def main(argv: list[str]) -> int:
    match argv:
        case ["exit", status]:
            return int(status)
        case ["leave", status]:
            sys.exit(int(status))
        case ["break"]:
            raise RuntimeError("broken")
        case ["tell"]:
            print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), os.getsid(0) == os.getpid()]))
        case ["copy"]:
            print(sys.stdin.read().upper(), end="")
        case ["descriptors"]:
            os.write(3, b"the fourth")
            print(sorted(map(int, os.listdir("/dev/fd"))))
        case ["wait"]:
            os.write(1, b"waiting\n")
            while not select.select([0], [], [], 0.05)[0]:
                pass  # a signal that comes just before a read would wait for its end
    return 0

"""`python -m engine`: the server alone, with redis-server's arguments."""

import sys

from engine.live.server import main

sys.exit(main(sys.argv[1:]))

"""`redis-tutor cli`: redis-cli's options, commands and output, and a better prompt on a terminal.

    options      the command line
    session      the conversation with the server
    repl         commands one by one
    terminal     the prompt on a terminal (prompt-toolkit)
    debugger     --ldb, --ldb-sync-mode
    modes        --latency, --stat, --scan, --pipe, --intrinsic-latency
    bigkeys      --bigkeys, --memkeys, --hotkeys
    replication  --replica, --rdb, --functions-rdb
    clusters     --cluster

What is printed when output is no terminal equals redis-cli 7.2's to the byte; `tests/prompt/` compares. Each special
mode is imported when it is used.

https://redis.io/docs/latest/develop/tools/cli/
"""

import os
import signal
import sys

from tutor.cli.options import CliExit, Options, complain, fail, parse
from tutor.cli.session import CliSession
from tutor.client import LinkError
from tutor.prompt import unquote


def main(argv: list[str]) -> int:
    """Run redis-cli with these arguments (the program's name not among them); return the exit status."""
    try:
        return _main(argv)
    except CliExit as leaving:
        return leaving.status
    except KeyboardInterrupt:
        return _interrupted()
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _interrupted() -> int:
    """End as a program does that SIGINT ends, so that a shell's loop ends, too."""
    sys.stdout.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return 130


def _main(argv: list[str]) -> int:
    # FAKETTY is redis-cli's own switch for tests: output as on a terminal.
    on_terminal = sys.stdout.isatty() or "FAKETTY" in os.environ
    options = parse(argv, on_terminal=on_terminal)
    if options.ask_password:
        import getpass

        try:
            options.password = getpass.getpass("Please input password: ")
        except EOFError:
            options.password = ""  # a server with a password will refuse it
    if options.cluster.name:
        from tutor.cli.clusters import manage

        return manage(options)
    session = CliSession(options, on_terminal=on_terminal)
    if options.mode:
        return _special(session)
    if options.hint_input is not None or options.hint_file is not None:
        from tutor.cli.testing import run_hints

        return run_hints(session)
    if options.interactive:
        from tutor.cli.repl import run

        run(session)
        return 0
    if options.eval_file is not None:
        if not session.connect():
            return 1
        if options.debug:
            from tutor.cli.debugger import debug_file

            return debug_file(session)
        return 0 if session.issue(read_script(options), options.repeat) else 1
    session.connect(quiet=True)
    return _command(session)


def _special(session: CliSession) -> int:
    mode = session.options.mode
    if mode == "intrinsic-latency":
        from tutor.cli.modes import intrinsic_latency

        return intrinsic_latency(session)
    if not session.connect():
        return 1
    try:
        match mode:
            case "latency" | "latency-history":
                from tutor.cli.modes import latency

                return latency(session)
            case "stat":
                from tutor.cli.modes import stat

                return stat(session)
            case "scan":
                from tutor.cli.modes import scan_keys

                return scan_keys(session)
            case "pipe":
                from tutor.cli.modes import pipe

                return pipe(session)
            case "bigkeys" | "memkeys":
                from tutor.cli.bigkeys import find_big_keys

                return find_big_keys(session)
            case "hotkeys":
                from tutor.cli.bigkeys import find_hot_keys

                return find_hot_keys(session)
            case "replica":
                from tutor.cli.replication import replica

                return replica(session)
    except LinkError:
        complain("\nI/O error")
        return 1
    from tutor.cli.replication import fetch

    return fetch(session)


def _command(session: CliSession) -> int:
    options = session.options
    argv = options.command
    if options.quoted_input:
        unquoted = [unquote(word) for word in argv]
        if None in unquoted:
            session.say("Invalid quoted string")
            return 1
        argv = [word for word in unquoted if word is not None]
    if options.last_from_stdin:
        argv = [*argv, sys.stdin.buffer.read()]
    elif options.tag_from_stdin is not None:
        if options.tag_from_stdin not in argv:
            raise fail("Using -X option but stdin tag not match.")
        at = argv.index(options.tag_from_stdin)
        argv = [*argv[:at], sys.stdin.buffer.read(), *argv[at + 1 :]]
    done = session.issue(argv, options.repeat)
    try:
        while session.state.subscribed:
            session.read_and_show()
    except LinkError as error:
        raise fail(f"Error: {error}") from None
    return 0 if done else 1


def read_script(options: Options) -> list[bytes]:
    """Return the EVAL that --eval asks for, of the file as it is now. Raises CliExit."""
    assert options.eval_file is not None
    try:
        with open(options.eval_file, "rb") as file:
            script = file.read()
    except OSError as error:
        raise fail(f"Can't open file '{options.eval_file}': {error.strerror}") from None
    words = options.command
    comma = words.index(b",") if b"," in words else len(words)
    return [b"EVAL", script, b"%d" % comma, *words[:comma], *words[comma + 1 :]]

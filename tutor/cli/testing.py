"""redis-cli's own switches for testing hints: --test_hint INPUT and --test_hint_file FILE."""

from tutor.cli.options import complain, fail
from tutor.cli.session import CliSession
from tutor.prompt import hint, split_args, to_bytes, to_text


def run_hints(session: CliSession) -> int:
    """Print the hint for an input, or run a file of `"input" "hint"` lines; the status counts the failures."""
    options = session.options
    commands = session.docs()
    if options.hint_input is not None:
        session.say(hint(options.hint_input, commands) or "")
        return 0
    passed = failed = 0
    assert options.hint_file is not None
    try:
        with open(options.hint_file, "rb") as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise fail(f"Can't open file '{options.hint_file}': {error.strerror}", 255) from None
    for line in lines:
        case = split_args(line) if line and not line.startswith(b"#") else None
        if not case:
            continue
        if len(case) == 1:
            raise fail(f"Missing expected hint for input '{to_text(case[0])}'", 255)
        got = hint(to_text(case[0]), commands)
        if options.verbose:
            session.say(f"Input: '{to_text(case[0])}', Expected: '{to_text(case[1])}', Hint: '{got}'")
        if got is None or to_bytes(got) != case[1]:
            complain(f"Test case '{to_text(case[0])}' FAILED: expected '{to_text(case[1])}', got '{got}'")
            failed += 1
        else:
            passed += 1
    session.say(f"{'FAILURE' if failed else 'SUCCESS'}: {passed}/{passed + failed} passed")
    return min(failed, 255)

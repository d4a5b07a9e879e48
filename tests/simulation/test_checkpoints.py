"""Checkpoints thin out with age, and every place is reached from those that are left."""

from itertools import pairwise

from engine.simulation import checkpoints
from engine.simulation.actions import AddHost, OpenClient, SendCommand, Start
from engine.simulation.checkpoints import DENSE, distance, size_bytes, thin
from engine.simulation.history import VISITED_MAX, History, HistoryPosition, WorldCheckpoint
from engine.values.rng import Rng

SECOND = 1_000_000


def grown(count: int, size: int = 1000) -> tuple[list[WorldCheckpoint], int]:
    """Return what is left of so many checkpoints, and the most that were ever kept."""
    kept: list[WorldCheckpoint] = []
    most = 0
    for number in range(count):
        place = HistoryPosition(number * checkpoints.EVERY_EVENTS, number * 60, number, number)
        kept.append(WorldCheckpoint(place, bytes(size), {}))
        thin(kept)
        most = max(most, len(kept))
    return kept, most


def test_their_number_grows_with_the_logarithm_of_the_length() -> None:
    kept, most = grown(4000)  # a million events
    assert most < 320
    ages = [distance(each.place, kept[-1].place) for each in kept]
    assert [age for age in ages if age <= DENSE] == list(map(float, range(DENSE, -1, -1)))
    for age, following in pairwise(ages):
        assert age - following <= max(1.0, 3 * age / DENSE)
    assert kept[0].place.happened == 0


def test_the_distant_past_is_thinner_when_they_are_large(monkeypatch) -> None:
    monkeypatch.setattr(checkpoints, "BYTES_MAX", 100_000)
    kept, _ = grown(1000)
    assert size_bytes(kept) <= 100_000
    assert sum(distance(each.place, kept[-1].place) <= DENSE for each in kept) == DENSE + 1


def written(events: int) -> History:
    history = History(5)
    history.do(AddHost("a", "172.16.6.18:6379", ("repl-diskless-sync-delay 0",)))
    history.do(AddHost("b", "172.16.6.57:6379", ("replicaof 172.16.6.18 6379",)))
    history.do(Start("a"))
    history.do(Start("b"))
    history.do(OpenClient("c", "a"))
    history.run(history.world.now_us + SECOND)
    while history.place < events:
        history.do(SendCommand("c", (b"INCR", b"n")))
        history.run(history.world.now_us + 20_000)
    return history


def test_any_place_is_reached_and_going_back_from_there_is_short(monkeypatch) -> None:
    monkeypatch.setattr(checkpoints, "DENSE", 2)
    monkeypatch.setattr("engine.simulation.history.DENSE", 2)
    history = written(8_000)
    before = len(history.branch_now.checkpoints)
    assert before < 24
    end = history.digest()
    rng = Rng(3)
    for _ in range(VISITED_MAX * 2):
        place = history.branch_now.counts[rng.below(len(history.branch_now.counts))]
        history.goto(place)
        assert history.place == place
        history.back()
        assert history.place < place
        assert len(history.branch_now.checkpoints) <= before + VISITED_MAX
        kept = [each.place.steps for each in history.branch_now.checkpoints]
        assert kept == sorted(kept)
    history.end()
    assert history.digest() == end
    opened = History.decode(history.encode())
    assert opened.digest() == end
    assert len(opened.branch_now.checkpoints) <= before + 2


def test_a_run_can_be_interrupted_in_quiet_time() -> None:
    history = History(1)
    history.do(AddHost("a", "172.16.6.18:6379"))
    history.do(Start("a"))
    asked = 0

    def enough() -> bool:
        nonlocal asked
        asked += 1
        return asked == 5

    began = history.world.now_us
    history.run(began + 86_400 * SECOND, enough)
    assert asked == 5 and began < history.world.now_us < began + 3600 * SECOND
    history.run(began + 600 * SECOND)
    digest, place = history.digest(), history.place
    whole = History(1)
    whole.do(AddHost("a", "172.16.6.18:6379"))
    whole.do(Start("a"))
    whole.run(began + 600 * SECOND)
    assert (whole.digest(), whole.place) == (digest, place)

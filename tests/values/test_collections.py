"""Hashes, sets and sorted sets against dictionaries, checked after every step."""

import pickle
from math import copysign

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.values.hash import HashValue
from engine.values.rng import Rng
from engine.values.set import SetLimits, SetValue
from engine.values.zset import LexRange, ScoreRange, ZSetValue

members = st.one_of(
    st.sampled_from([b"", b"a", b"b", b"c", b"01", b"-0", b"1.5", b"x" * 11]),
    st.integers(-5, 5).map(lambda i: b"%d" % i),
    st.sampled_from([-(2**63), 2**63 - 1, 2**63, 40000, 2**31]).map(lambda i: b"%d" % i),
    st.binary(max_size=2),
)
limits = st.builds(
    SetLimits, st.sampled_from([0, 3, 512]), st.sampled_from([0, 4, 128]), st.sampled_from([2, 10, 64])
)
scores = st.one_of(
    st.integers(-3, 3).map(float),
    st.sampled_from([float("inf"), float("-inf"), -0.0, 0.5]),
    st.floats(allow_nan=False),
)


@settings(max_examples=80)
@given(
    st.lists(st.tuples(st.booleans(), members, members), max_size=80),
    st.sampled_from([0, 3, 128]),
    st.integers(1, 64),
)
def test_hash(steps, max_entries, max_value):
    value, model = HashValue(), {}
    for removes, field, content in steps:
        if removes:
            assert value.remove(field) == (field in model)
            model.pop(field, None)
        else:
            assert value.set(field, content, max_entries, max_value) == (field not in model)
            model[field] = content
        value.check()
        assert dict(value.items()) == model
        if value.encoding == b"listpack":
            assert list(value.items()) == list(model.items())
            assert len(model) <= max_entries
    copy = pickle.loads(pickle.dumps(value.copy()))
    copy.check()
    copy.set(b"new", b"field", max_entries, max_value)
    copy.check()
    assert dict(value.items()) == model


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(["add", "add", "add", "remove", "pop"]), members), max_size=80), limits)
def test_set(steps, limits):
    value, model, rng = SetValue(), {}, Rng(1)
    for what, member in steps:
        if what == "add":
            assert value.add(member, limits) == (member not in model)
            model[member] = None
        elif what == "remove":
            assert value.remove(member) == (member in model)
            model.pop(member, None)
        elif model:
            del model[value.pop(rng)]
        value.check()
        assert len(value) == len(model)
        assert sorted(value.to_list()) == sorted(model)
        assert (member in value) == (member in model)
        if value.encoding == b"listpack":
            assert value.to_list() == list(model)
        elif value.encoding == b"intset":
            model = dict.fromkeys(sorted(model, key=int))  # the order that a listpack made of it starts with
            assert value.to_list() == list(model)
            assert len(model) <= limits.intset_entries
    copy = pickle.loads(pickle.dumps(value.copy()))
    copy.check()
    copy.add(b"new", limits)
    copy.check()
    copy = value.copy()
    copy.to_intset(limits)
    copy.check()
    if model:
        assert value.random(rng) in model
        sample = value.sample(rng, len(model) // 2)
        assert len(dict.fromkeys(sample)) == len(model) // 2


@settings(max_examples=80)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "add", "remove", "pop", "range"]), members, scores), max_size=60),
    st.sampled_from([0, 4, 128]),
    st.sampled_from([1, 10, 64]),
)
def test_sorted_set(steps, max_entries, max_value):
    value, model = ZSetValue(), {}
    for what, member, score in steps:
        if what == "add":
            if member in value:
                value.update(member, score)
            else:
                value.add(member, score, max_entries, max_value)
            model[member] = score
        elif what == "remove":
            assert value.remove(member) == (member in model)
            model.pop(member, None)
        elif what == "pop" and model:
            last = copysign(1, score) > 0
            popped = value.pop(last)
            assert popped == (max if last else min)((s, m) for m, s in model.items())
            del model[popped[1]]
        elif what == "range":
            order = sorted((s, m) for m, s in model.items())
            value.remove_range(1, min(3, len(order)))
            for _, gone in order[1:3]:
                del model[gone]
        value.check()
        order = sorted((s, m) for m, s in model.items())
        assert value.range(0, len(model)) == order
        assert value.range(0, len(model), reverse=True) == order[::-1]
        for rank, (s, m) in enumerate(order):
            assert value.rank(m) == rank
            assert value.score(m) == s
        for bounds in (
            ScoreRange(score, float("inf")),
            ScoreRange(float("-inf"), score),
            ScoreRange(score, 2.0, low_excluded=True),
            ScoreRange(-1.0, score, high_excluded=True),
            ScoreRange(float("-inf"), float("inf"), True, True),
        ):
            start, stop = value.score_range(bounds)
            assert order[start:stop] == [
                pair
                for pair in order
                if (pair[0] > bounds.low if bounds.low_excluded else pair[0] >= bounds.low)
                and (pair[0] < bounds.high if bounds.high_excluded else pair[0] <= bounds.high)
            ]
    copy = pickle.loads(pickle.dumps(value.copy()))
    copy.check()
    if b"new" not in copy:
        copy.add(b"new", 1.0, max_entries, max_value)
        copy.check()
    of = ZSetValue.of(model, max_entries, max_value)
    of.check()
    assert of.range(0, len(of)) == value.range(0, len(value))


@given(st.lists(members, unique=True, max_size=40), members, members, st.booleans(), st.booleans(), st.booleans())
def test_lex_ranges(names, low, high, low_excluded, high_excluded, small):
    value = ZSetValue()
    for name in names:
        value.add(name, 0.0, 128 if small else 0, 64)
    for first, last in ((low, high), (None, high), (low, None), (None, None)):
        empty = (
            first is not None
            and last is not None
            and (first > last or (first == last and (low_excluded or high_excluded)))
        )
        bounds = LexRange(first, last, low_excluded, high_excluded, empty)
        start, stop = value.lex_range(bounds)
        expected = [name for name in sorted(names) if bounds.above_low(name) and bounds.below_high(name)]
        assert [m for _, m in value.range(start, stop)] == ([] if empty else expected)


def test_a_listpack_has_no_negative_zero():
    small, large = ZSetValue(), ZSetValue(b"skiplist")
    for value in (small, large):
        value.add(b"a", -0.0, 128, 64)
    assert copysign(1, small.score(b"a")) == 1
    assert copysign(1, large.score(b"a")) == -1


def test_a_sorted_set_does_not_keep_a_member_twice() -> None:
    value = ZSetValue()
    value.add(b"a longer member", 1.0, 128, 64)
    value.update(bytes(bytearray(b"a longer member")), 2.0)
    value.check()
    assert value.range(0, 1)[0][1] is value.members[0]

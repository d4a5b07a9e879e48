"""HyperLogLog as bytes, against a model that keeps a plain list of registers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.values import hyperloglog as hll

elements = st.lists(st.integers(0, 3000).map(lambda i: b"element:%d" % i) | st.binary(max_size=20), max_size=300)
thresholds = st.sampled_from([0, 18, 60, 300, 3000, 16000])


def build(items: list[bytes], sparse_max: int = 3000) -> bytearray:
    made = hll.create()
    for item in items:
        hll.add(made, (item,), sparse_max)
    return made


def model(items: list[bytes]) -> bytes:
    registers = bytearray(hll.REGISTERS)
    for item in items:
        index, count = hll.place(item)
        registers[index] = max(registers[index], count)
    return bytes(registers)


def test_murmur64a_has_the_published_results_and_redis_s_seed():
    # known pairs: register and run length as a real server sets them
    assert hll.murmur64a(b"", 0) == 0
    assert hll.place(b"a") == (12711, 2)
    assert hll.place(b"hello") == (9216, 1)


def test_new_one_is_one_run_of_zeros():
    assert hll.create() == b"HYLL\x01" + bytes(11) + b"\x7f\xff"
    assert hll.count(hll.create()) == 0
    assert hll.decode_sparse(hll.create()) == b"Z:16384"


@given(elements, thresholds)
def test_registers_are_the_longest_runs(items, sparse_max):
    made = build(items, sparse_max)
    assert hll.registers(made) == model(items)
    if made[4] == hll.SPARSE:
        assert len(made) <= max(18, sparse_max)
        values = hll.registers(made)
        assert hll.to_dense(made)
        assert hll.registers(made) == values
    assert len(made) == hll.DENSE_BYTES
    assert hll.is_hll(made)


@given(elements)
def test_adding_again_changes_nothing(items):
    made = build(items)
    before = bytes(made)
    assert not any(hll.add(made, (item,), 3000) for item in items)
    assert made == before


@given(elements, elements, thresholds, st.booleans())
def test_merging_is_the_register_wise_maximum(mine, theirs, sparse_max, dense):
    one, other = build(mine, sparse_max), build(theirs, sparse_max)
    if dense:
        hll.to_dense(one)
    expected = model(mine + theirs)
    assert hll.union(hll.registers(one), hll.registers(other)) == expected
    hll.merge_into(one, expected, sparse_max)
    assert hll.registers(one) == expected
    assert hll.cached_count(one) is None
    assert hll.count(one) == hll.count_registers(expected)


@pytest.mark.parametrize("size", [1, 10, 100, 1000, 20_000])
def test_estimate_is_near_and_equal_for_both_forms(size):
    items = [b"%d" % i for i in range(size)]
    sparse, dense = build(items), build(items, 0)
    assert hll.count(sparse) == hll.count(dense)
    assert abs(hll.count(dense) - size) <= max(1, 0.03 * size)


def test_count_is_kept_in_the_header():
    made = build([b"a", b"b"])
    hll.invalidate(made)
    assert hll.cached_count(made) is None
    hll.cache_count(made, 2)
    assert hll.cached_count(made) == 2
    assert made[8:16] == b"\x02" + bytes(7)


@given(st.binary(max_size=400), st.binary(max_size=8))
def test_damage_is_told_and_never_crashes(runs, item):
    broken = bytearray(b"HYLL\x01" + bytes(11) + runs)
    for work in (hll.count, hll.registers, lambda h: hll.add(h, (item,), 3000), hll.decode_sparse):
        try:
            work(broken)
        except hll.CorruptedHllError:
            continue


@given(st.binary(min_size=1, max_size=97))
def test_any_dense_registers_are_counted(pattern):
    registers = (pattern * 12288)[:12288]
    dense = b"HYLL\x00" + bytes(11) + registers
    assert hll.count(dense) >= 0
    assert hll.pack(hll.registers(dense)) == registers

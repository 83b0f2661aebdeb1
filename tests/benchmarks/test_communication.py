"""Counting what a compiled program sends."""

import pytest

from benchmarks import communication

HLO = """
%sum (a: f32[], b: f32[]) -> f32[] {
  ROOT %add = f32[] add(%a, %b)
}

%body (state: (s32[], f32[2,3])) -> (s32[], f32[2,3]) {
  %reduced = (f32[2,3]{1,0}, bf16[4]{0}) all-reduce(%x, %y), to_apply=%sum
}

%cond (state: (s32[], f32[2,3])) -> pred[] {
  ROOT %less = pred[] compare(%i, %n), direction=LT
}

ENTRY %main (p: f32[2,3]) -> f32[8,3] {
  %loop = (s32[], f32[2,3]) while(%start), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  %gathered = f32[8,3]{1,0} all-gather(%z), dimensions={0}
  %scattered = f32[2]{0} reduce-scatter(%z), to_apply=%sum
  ROOT %permuted = s32[7]{0} collective-permute(%z)
}
"""  # noqa: E501 - as the compiler writes it


def test_each_kind_is_counted_as_often_as_it_runs():
    # By hand, on 4 devices: an all-reduce of 24 + 8 bytes sends 2 · 3/4 of them, five
    # times; an all-gather 3/4 of its result; a reduce-scatter 3 times its result.
    assert communication.sent(HLO, 4) == {
        'all-reduce': pytest.approx(5 * 1.5 * 32),
        'all-gather': pytest.approx(0.75 * 96),
        'reduce-scatter': 3 * 8,
        'collective-permute': 28,
    }


def test_gradients_are_nearly_all_that_is_sent():
    """On accelerators; no activation of a whole batch is gathered."""
    found = communication.with_devices(4, 'tiny', shard_state=False)
    gradients = 4 * found['parameters']
    total = sum(found['sent'].values())
    # A ring sends 2 · 3/4 of the gradients; memory, labels and packed texts are small.
    assert 1.5 * gradients <= total < 2 * gradients

# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameter dataclasses: defaults pass, bad values are named, a node finds what it declares from."""

from __future__ import annotations

from dataclasses import fields

import pytest

from vljepa_ros.streaming import ClipParams, DecodeParams, TransitionParams

ALL = (ClipParams, TransitionParams, DecodeParams)


@pytest.mark.parametrize("params", ALL)
def test_every_field_tells_its_sentence_and_its_bounds(params):
    for one in fields(params):
        assert len(one.metadata["description"]) > 10, one.name
        assert ("range" in one.metadata) != ("choices" in one.metadata), one.name
    params()  # the defaults lie within


@pytest.mark.parametrize("params", ALL)
def test_a_value_outside_its_range_is_named(params):
    for one in fields(params):
        if "range" not in one.metadata:
            continue
        low, high = one.metadata["range"]
        for bad in (low - 1, high + 1, float("nan"), float("inf"), "0.5", None, True):
            with pytest.raises(ValueError, match=one.name) as error:
                params(**{one.name: bad})
            assert repr(bad) in str(error.value)
        params(**{one.name: low}), params(**{one.name: high})


def test_a_choice_that_is_none_is_named():
    with pytest.raises(ValueError, match="clip.stamp_source must be one of header, arrival, got 'now'"):
        ClipParams(stamp_source="now")

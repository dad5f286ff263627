"""A floor is a floor: what is a hair under it is refused."""

from __future__ import annotations

import pytest

from emberd.errors import ModelInvalidError
from emberd.models import Accuracy, Floor
from emberd.models.accuracy import refuse_inaccurate


def found(mean: float, least: float) -> Accuracy:
    return Accuracy(mean_cosine=mean, least_cosine=least, texts=150, speedup=2.5)


def test_what_reaches_the_floor_passes() -> None:
    refuse_inaccurate("m:int8", found(0.999, 0.995), Floor())


@pytest.mark.parametrize(("mean", "least"), [(0.998999, 1.0), (1.0, 0.994999)])
def test_each_cosine_has_a_floor_of_its_own(mean: float, least: float) -> None:
    with pytest.raises(ModelInvalidError, match="over 150 texts") as caught:
        refuse_inaccurate("m:int8", found(mean, least), Floor())
    assert caught.value.details["mean_cosine"] == mean
    assert caught.value.details["least_cosine"] == least


def test_a_floor_of_zero_takes_anything() -> None:
    refuse_inaccurate("m:int8", found(0.2, 0.0), Floor(0.0, 0.0))

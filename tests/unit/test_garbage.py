"""The garbage collector is kept away from what lasts, and is there again afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from fastopp.core.garbage import lasting_objects


@pytest.fixture(autouse=True)
def usual_collector() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_made_is_not_looked_through_again() -> None:
    with lasting_objects():
        assert not gc.isenabled()
        lasting: list[list[int]] = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(lasting)


def test_what_failed_does_not_last() -> None:
    with pytest.raises(ImportError), lasting_objects():
        raise ImportError
    assert gc.isenabled()
    assert not gc.get_freeze_count()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with lasting_objects():
        pass
    assert not gc.isenabled()

"""A private Redis is found by what runs in the same folder."""

from __future__ import annotations

import os

import pytest

from pipeline.local_session import FILE, announced, nearby, nearby_flows


def test_an_address_is_found_in_its_folder_while_it_is_announced(tmp_path):
    assert nearby(tmp_path) is None
    with announced("redis://:secret@127.0.0.1:1/0", ["shop.py", "my.flows:daily"], tmp_path) as left:
        assert left
        assert nearby(tmp_path) == "redis://:secret@127.0.0.1:1/0"
        assert nearby_flows(tmp_path) == ("shop.py", "my.flows:daily")
        assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert nearby(tmp_path) is None
    assert not (tmp_path / FILE).exists()


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(process, 0)
    return process


def test_an_address_whose_process_is_gone_is_not_believed(tmp_path, gone):
    (tmp_path / FILE).write_text(f"{gone} redis://127.0.0.1:1/0\nshop.py\n")
    assert nearby(tmp_path) is None
    assert nearby_flows(tmp_path) == ()


def test_a_file_of_another_form_is_passed_over(tmp_path):
    (tmp_path / FILE).write_text("what is this")
    assert nearby(tmp_path) is None


def test_an_announcement_takes_the_place_of_one_whose_process_is_gone(tmp_path, gone):
    (tmp_path / FILE).write_text(f"{gone} redis://127.0.0.1:1/0\n")
    with announced("redis://127.0.0.1:2/0", folder=tmp_path):
        assert nearby(tmp_path) == "redis://127.0.0.1:2/0"


def test_an_announcement_of_a_process_that_lives_stays(tmp_path):
    (tmp_path / FILE).write_text(f"{os.getppid()} redis://127.0.0.1:1/0\n")
    with announced("redis://127.0.0.1:2/0", folder=tmp_path) as left:
        assert not left
    assert nearby(tmp_path) == "redis://127.0.0.1:1/0"


def test_a_folder_that_cannot_be_written_is_left_alone(tmp_path):
    missing = tmp_path / "gone"
    with announced("redis://127.0.0.1:1/0", folder=missing) as left:
        assert not left

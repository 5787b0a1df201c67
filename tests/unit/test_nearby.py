"""A private Redis is found by what runs in the same folder."""

from __future__ import annotations

import os

from pipeline.nearby import FILE, announced, nearby


def test_an_address_is_found_in_its_folder_while_it_is_announced(tmp_path):
    assert nearby(tmp_path) is None
    with announced("redis://:secret@127.0.0.1:1/0", tmp_path) as left:
        assert left
        assert nearby(tmp_path) == "redis://:secret@127.0.0.1:1/0"
        assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert nearby(tmp_path) is None
    assert not (tmp_path / FILE).exists()


def test_an_address_whose_process_is_gone_is_not_believed(tmp_path):
    process = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(process, 0)
    (tmp_path / FILE).write_text(f"{process} redis://127.0.0.1:1/0\n")
    assert nearby(tmp_path) is None


def test_a_file_of_another_form_is_passed_over(tmp_path):
    (tmp_path / FILE).write_text("what is this")
    assert nearby(tmp_path) is None


def test_a_newer_announcement_takes_the_place_of_an_older_one(tmp_path):
    (tmp_path / FILE).write_text("1 redis://127.0.0.1:1/0\n")
    with announced("redis://127.0.0.1:2/0", tmp_path):
        assert nearby(tmp_path) == "redis://127.0.0.1:2/0"


def test_a_folder_that_cannot_be_written_is_left_alone(tmp_path):
    missing = tmp_path / "gone"
    with announced("redis://127.0.0.1:1/0", missing) as left:
        assert not left

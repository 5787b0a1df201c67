"""What other packages add, by entry points of an installed distribution."""

from __future__ import annotations

from pipeline.extensions import installed


def test_what_lacks_an_extra_is_left_out_and_told_of(tmp_path, monkeypatch):
    metadata = tmp_path / "more-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: more\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[waves.additions]\npages = more_pages:add\nmodels = more_models:add\n"
    )
    (tmp_path / "more_pages.py").write_text("add = 'pages'\n")
    (tmp_path / "more_models.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    told: list[dict[str, str]] = []
    assert installed("waves.additions", lambda text, **fields: told.append(fields)) == ["pages"]
    assert told == [
        {"group": "waves.additions", "part": "models", "error": "No module named 'no_such_module'"}
    ]
    assert installed("waves.nothing") == []

"""``setup`` on a host that has no Python of our minor version, and no internet to fetch one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simmate_remote.environment.setup import Feedback, Wish, check, remove
from simmate_remote.errors import RemotePythonError
from tests.interpreters import MINOR, offer_python, python_hidden
from tests.lab import Lab
from tests.lab_boxes import AccountBox
from tests.setups import Here, bare, bring

pytestmark = [pytest.mark.lab, pytest.mark.slow]

QUIET = Feedback(lambda _: None, lambda sent, total: None, None)


@pytest.fixture
def without_python(lab: Lab) -> Iterator[None]:
    with python_hidden(lab):
        yield


async def test_one_that_is_fetched_here_is_sent(
    lab: Lab, without_python: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = AccountBox.of(lab, "setup-no-python")
    here = Here(tmp_path / "here")
    here.install("tiny", "1.0")
    assert (await check(bare(box), Wish(), here.supply, QUIET)).python is None

    nothing = tmp_path / "nothing.json"
    nothing.write_text("{}")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(nothing))
    with pytest.raises(
        RemotePythonError, match=f"there is no Python {MINOR} there, and none could be brought"
    ) as caught:
        await bring(box, here)
    assert "fetching it there:" in str(caught.value)
    assert "fetching it here:" in str(caught.value)
    assert "--python PATH" in str(caught.value)

    steps: list[str] = []
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(offer_python(tmp_path)))
    report = await bring(box, here, step=steps.append)
    assert steps[-3:] == [
        f"Python {MINOR} is missing there: fetching it here",
        f"sending Python {MINOR}",
        "making the environment",
    ]
    assert report.python is not None
    assert report.python.startswith(f"{box.home}/simmate-remote/pythons/")
    done = box.run("~/simmate-remote/environment/bin/python -c 'import tiny, ssl; print(tiny.version)'")
    assert done.stdout == "1.0\n"
    assert not (await bring(box, here)).changed
    here.install("tiny", "1.1")
    assert (await bring(box, here)).python == report.python
    # A scratch disk whose old files were cleared away, those of the interpreter among them.
    box.run("find ~/simmate-remote/pythons/cpython-*/bin -type f -delete")
    assert (await bring(box, here)).python == report.python
    assert box.run("~/simmate-remote/environment/bin/python -c 'import tiny, ssl'").returncode == 0
    assert "pythons" in (await remove(bare(box), QUIET)).removed

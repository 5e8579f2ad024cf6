"""The page that leads a browser to a link with a secret."""

from __future__ import annotations

import stat
from pathlib import Path

from simmate_remote.session.launch_page import write_launch_page

LINK = "http://127.0.0.1:8787/status?token=a-b_c&x=1"


def test_only_its_owner_can_read_it_and_it_leads_to_the_link(tmp_path: Path) -> None:
    page = write_launch_page(LINK, tmp_path)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert 'http-equiv="refresh" content="0;url=http://127.0.0.1:8787/status?token=a-b_c&amp;x=1"' in page.read_text()


def test_an_older_page_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / "dashboard.html").symlink_to(elsewhere)
    page = write_launch_page(LINK, tmp_path)
    assert not page.is_symlink()
    assert elsewhere.read_text() == "untouched"
    assert set(tmp_path.iterdir()) == {elsewhere, page}

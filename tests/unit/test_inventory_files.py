"""A host's file: what it may say, and what is said about mistakes."""

from __future__ import annotations

import contextlib
import json
import re
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simmate_remote.errors import HostFileError, InventoryError
from simmate_remote.inventory import Duration, Host, Keepalive, Size, Workers, add_host, json_schema, load_host

EXAMPLES = Path(__file__).parents[2] / "hosts"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an inventory of its own, which the environment names."""
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(tmp_path))
    return tmp_path


def mistakes(folder: Path, content: str | bytes) -> list[str]:
    """Write a wrong file, load it, and give what is said about it, a line each."""
    path = folder / "lab-box.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(HostFileError) as caught:
        load_host("lab-box")
    said = [caught.value.what, *(caught.value.detail or "").splitlines()]
    return said if len(said) == 1 else said[1:]


def loaded() -> Host | HostFileError:
    """Load the host, or give what is said instead; any other exception goes on."""
    try:
        return load_host("lab-box")
    except HostFileError as error:
        return error


def test_all_fields(folder: Path) -> None:
    (folder / "lab-box.yaml").write_text(
        "ssh: me@lab-box\nssh_config: config\nfolder: /scratch/me\npython: ~/venv\n"
        "workers: {count: 4, threads: 2, memory: 8 GiB, environment: {OMP_NUM_THREADS: '2'}, resources: {GPU: 1}}\n"
        "keepalive: {interval: 500 ms, tries: 5}\nlease: 2 d\nconnect_timeout: 1.5 min\n"
    )
    assert load_host("lab-box") == Host(
        name="lab-box",
        source=folder / "lab-box.yaml",
        ssh="me@lab-box",
        ssh_config=folder / "config",
        folder="/scratch/me",
        python="~/venv",
        workers=Workers(
            count=4, threads=2, memory=Size(8 * 2**30), environment={"OMP_NUM_THREADS": "2"}, resources={"GPU": 1.0}
        ),
        keepalive=Keepalive(interval=Duration(0.5), tries=5),
        lease=Duration(2 * 86400),
        connect_timeout=Duration(90),
    )


def test_defaults(folder: Path) -> None:
    (folder / "lab-box.yaml").write_text("ssh: lab-box")
    host = load_host("lab-box")
    assert (host.folder, host.python, host.ssh_config) == ("~/simmate-remote", None, None)
    assert (host.workers.count, host.workers.threads, host.workers.memory) == (None, None, None)
    assert (host.keepalive.interval, host.keepalive.tries) == (5.0, 3)
    assert (host.lease, host.connect_timeout) == (12 * 3600.0, 20.0)


@pytest.mark.parametrize(
    ("content", "line", "field", "says"),
    [
        (
            "ssh: a\nworkers:\n  threads: 2\n\n  count: four\n",
            5,
            "workers.count",
            "expected a whole number of at least 1, found 'four'; for example `count: 4`",
        ),
        ("ssh: a\nworkers: {count: 0}", 2, "workers.count", "found 0"),
        ("ssh: a\nworkers: {count: true}", 2, "workers.count", "found true"),
        ("ssh: a\nworkers: {count: 1.0}", 2, "workers.count", "found 1.0"),
        ("ssh: a\nworkers: {count: 010}", 2, "workers.count", "found '010'"),
        (
            "ssh: a\nworkers: {memory: 8}",
            2,
            "workers.memory",
            "found 8 (the unit is missing); for example `memory: 8 GiB`",
        ),
        ("ssh: a\nworkers: {memory: 8 G}", 2, "workers.memory", "`G` is no unit"),
        ("ssh: a\nworkers: {memory: 0.3 B}", 2, "workers.memory", "whole number of bytes"),
        ("ssh: a\nlease: 5 m", 2, "lease", "there are ms, s, min, h, d"),
        ("ssh: a\nlease: 0 s", 2, "lease", "from 1 ms"),
        ("ssh: a\nlease: 1:30", 2, "lease", "found '1:30'"),
        ("ssh: a\nlease: -5 s", 2, "lease", "found '-5 s'"),
        ("ssh: a\nkeepalive: {tries: 0}", 2, "keepalive.tries", "at least 1"),
        ("ssh: a\nworkers:", 2, "workers", "found nothing"),
        ("ssh: a\nworkers: [1]", 2, "workers", "found a list"),
        ("folder: ~/x", 1, "ssh", "this field is required"),
        ("ssh:", 1, "ssh", "found nothing"),
        ("ssh: 5", 1, "ssh", "found 5"),
        ("ssh: -oProxyCommand=touch", 1, "ssh", "begins with `-`"),
        ("ssh: me@-lab", 1, "ssh", "begins with `-`"),
        ("ssh: lab box", 1, "ssh", "' '"),
        ('ssh: "lab\\u0007"', 1, "ssh", r"\x07"),
        ("ssh: lab;reboot", 1, "ssh", "';'"),
        ("ssh: $(reboot)", 1, "ssh", "'$'"),
        ("ssh: me@", 1, "ssh", "no host is named"),
        ("ssh: a\nfolder: data", 2, "folder", "neither with `/` nor with `~/`"),
        ("ssh: a\nfolder: ~/", 2, "folder", "a folder of its own"),
        ("ssh: a\nfolder: ~/../x", 2, "folder", "`..`"),
        ('ssh: a\nfolder: "/a\\nb"', 2, "folder", "line break"),
        ('ssh: a\npython: "/a\\0b"', 2, "python", "NUL"),
        ('ssh: a\npython: "/a\\ud800"', 2, "python", "surrogate"),
        ("ssh: a\nworkers: {environment: {OMP-X: a}}", 2, "workers.environment.OMP-X", "letters, digits and `_`"),
        ("ssh: a\nworkers: {environment: {OMP: 2}}", 2, "workers.environment.OMP", 'for example `OMP: "2"`'),
        (
            "ssh: a\nworkers: {environment: {OMP: yes}}",
            2,
            "workers.environment.OMP",
            'expected a text in quotes, found yes; for example `OMP: "yes"`',
        ),
        ("ssh: a\nworkers: {environment: {workers: 2}}", 2, "workers.environment.workers", "expected a text in quotes"),
        ("ssh: a\nworkers: {resources: {GPU: one}}", 2, "workers.resources.GPU", "expected a number of at least 0"),
        ("ssh: a\nworkers: {resources: {GPU: -1}}", 2, "workers.resources.GPU", "found -1"),
        ("ssh: a\nfoldr: /x", 2, "foldr", "did you mean `folder`?"),
        ("ssh: a\nworkers: {lease: 5 s}", 2, "workers.lease", "`lease` belongs to the left"),
        ("ssh: a\ncount: 3", 2, "count", "did you mean `workers.count`?"),
        ("ssh: a\nqqq: 3", 2, "qqq", "there are ssh, ssh_config, folder"),
        ("ssh: a\nname: 3", 2, "name", "there is no such field"),
        ("ssh: a\nlease: 5 s\nlease: 6 s", 3, "lease", "given already in line 2"),
        ("", 1, "", "the file is empty"),
        ("# nothing\n\n", 1, "", "the file is empty"),
        ("- ssh: a", 1, "", "found a list"),
        ("lab-box", 1, "", "found 'lab-box'"),
        ("ssh: a\nworkers:\n\tcount: 1", 3, "", "a tab"),
        ("ssh: a\nworkers: {count: 1", 2, "", "not YAML"),
        ("ssh: a\n---\nssh: b", 2, "", "not YAML"),
        ("ssh: &a x\npython: *a", 1, "", "anchors"),
        ("ssh: a\npython: *a", 2, "", "aliases"),
        ("ssh: !!python/object/apply:os.system [ls]", 1, "ssh", "tags"),
        ("ssh: a\nlease: !!binary aGk=", 2, "lease", "tags"),
        ("ssh: a\n? [x]\n: y", 2, "", "name of a field"),
        ("ssh: a\n<<: {lease: 5 s}", 2, "<<", "no such field"),
        ("ssh: a\nlease: " + "[" * 3000, 2, "", "nested too deeply"),
        ('ssh: "\\UFFFFFFFF"', 1, "", "not YAML"),
        ("%YAML " + "1" * 5000 + ".1\n---\nssh: a", 1, "", "not YAML"),
        (b"ssh: a\nfolder: /\xff\xfe", 2, "", "UTF-8"),
        (b"ssh: a\nlease: \x00", 2, "", "U+0000"),
    ],
)
def test_mistake(folder: Path, content: str | bytes, line: int, field: str, says: str) -> None:
    (said,) = mistakes(folder, content)
    where = f"lab-box.yaml, line {line}" + (f", {field}: " if field else ": ")
    assert where in said
    assert says in said


def test_all_mistakes_at_once(folder: Path) -> None:
    said = mistakes(folder, "ssh: -x\nlease: 5\nworkers: {count: 0, thread: 2}\nssh: b\n")
    assert [line.partition(":")[0] for line in said] == [
        "line 1, ssh",
        "line 2, lease",
        "line 3, workers.count",
        "line 3, workers.thread",
        "line 4, ssh",
    ]


def test_file_name_that_is_no_host_name(folder: Path) -> None:
    from simmate_remote.inventory import list_hosts

    (folder / "lab box.yaml").write_text("ssh: lab-box")
    (entry,) = list_hosts()
    assert entry.state == "wrong"
    assert "cannot be one: ' ' is neither a letter nor a digit" in (entry.problem or "")


def test_huge_file_is_not_read(folder: Path) -> None:
    (said,) = mistakes(folder, "ssh: a\n" + "#" * 2**20)
    assert "larger than 1 MiB" in said


@pytest.mark.parametrize("text", ["/a b/'c'/\"d\"/$HOME;`x`/é", "~/ü\t*", "/ -rf"])
def test_odd_paths_and_values_survive(folder: Path, text: str) -> None:
    values = {"PLAIN": "a", "ODD": f"{text}\nsecond line\x1b"}
    host = add_host("odd", ssh="a", folder=text, python=text, workers={"environment": values})
    assert load_host("odd") == host
    assert (host.folder, host.python, host.workers.environment) == (text, text, values)


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
paths = st.builds(
    "".join,
    st.tuples(st.sampled_from(["/x", "~/x"]), st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r/"))),
)
hosts = st.fixed_dictionaries(
    {"ssh": st.from_regex(r"([a-z]{1,5}@)?[A-Za-z0-9][A-Za-z0-9.é-]{0,10}", fullmatch=True)},
    optional={
        "ssh_config": paths.map(lambda path: "/" + path.lstrip("~/")),
        "folder": paths,
        "python": paths,
        "lease": st.floats(0.001, 1e8).map(lambda seconds: Duration(round(seconds, 6))),
        "keepalive": st.fixed_dictionaries({"tries": st.integers(1, 100_000)}),
        "workers": st.fixed_dictionaries(
            {},
            optional={
                "count": st.integers(1, 1000),
                "memory": st.integers(1, 2**62).map(Size),
                "environment": st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), words),
                "resources": st.dictionaries(
                    st.text(string.ascii_letters, min_size=1), st.floats(0, 1e300, allow_subnormal=False)
                ),
            },
        ),
    },
)
quick = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@quick
@given(fields=hosts)
def test_written_host_reads_back_the_same(folder: Path, fields: dict[str, object]) -> None:
    host = add_host("lab-box", force=True, **fields)
    assert load_host("lab-box") == host
    assert Host.model_validate_json(host.model_dump_json()) == host


pieces = st.sampled_from(
    (
        *(
            "ssh",
            "ssh: a\n",
            "workers",
            "count",
            "environment",
            "resources",
            "keepalive",
            ": ",
            ":",
            "\n",
            "  ",
            "\t",
            "- ",
        ),
        *(
            "{",
            "}",
            "[",
            "]",
            ",",
            "&a ",
            "*a",
            "!!int ",
            "!x ",
            "'",
            '"',
            "\\U",
            "|",
            ">",
            "?",
            "= ",
            "#",
            "%",
            "<<",
            "~",
        ),
        *("---\n", "...\n", "yes", "4", "8 GiB", "1e9", "0x1f", ".nan", "2001-01-01", "9" * 20, "1:30"),
        *("\N{BOM}", "\x85", "é"),
    )
)


@quick
@given(content=st.one_of(st.lists(pieces, max_size=30).map("".join), st.text(), st.binary()))
def test_any_file_is_a_host_or_an_error_with_a_line(folder: Path, content: str | bytes) -> None:
    encoded = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (folder / "lab-box.yaml").write_bytes(encoded)
    assert isinstance(loaded(), Host) or re.search(r"line [1-9]\d*[:,]", str(loaded()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@quick
@given(fields=st.dictionaries(st.sampled_from(["ssh", "workers", "keepalive", "lease", "folder", "x"]), json_values))
def test_any_fields_are_a_host_or_an_error(folder: Path, fields: dict[str, object]) -> None:
    (folder / "lab-box.yaml").write_text(yaml.safe_dump(fields, allow_unicode=True))
    assert isinstance(loaded(), Host) or re.search(r"line [1-9]\d*[:,]", str(loaded()))
    with contextlib.suppress(InventoryError):
        assert add_host("other", force=True, **fields) == load_host("other")


def test_examples_are_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMMATE_REMOTE_HOSTS", str(EXAMPLES))
    names = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
    assert names == ["behind-gateway", "lab-box", "minimal"]
    assert load_host("behind-gateway").ssh_config == EXAMPLES / "gateway.ssh_config"
    assert load_host("lab-box").workers.count == 4
    assert load_host("minimal").workers == Workers()


def test_schema_for_editors_is_the_one_that_is_committed() -> None:
    assert json.loads((EXAMPLES / "schema.json").read_text()) == json_schema()
    for path in EXAMPLES.glob("*.yaml"):
        assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("5 s", 5, "5 s"),
        ("5s", 5, "5 s"),
        ("90 s", 90, "90 s"),
        ("60 s", 60, "1 min"),
        ("1.5 h", 5400, "90 min"),
        ("36 h", 129600, "36 h"),
        ("250 ms", 0.25, "250 ms"),
        ("1.25 s", 1.25, "1.25 s"),
    ],
)
def test_duration(text: str, seconds: float, shown: str) -> None:
    duration = Duration.parse(text)
    assert (duration, str(duration), Duration.parse(shown)) == (seconds, shown, duration)


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("8 GiB", 2**33, "8 GiB"),
        ("8gib", 2**33, "8 GiB"),
        ("500 MB", 500_000_000, "500 MB"),
        ("1.5 GiB", 3 * 2**29, "1536 MiB"),
        ("1000 MB", 10**9, "1 GB"),
        ("17 B", 17, "17 B"),
    ],
)
def test_size(text: str, size: int, shown: str) -> None:
    parsed = Size.parse(text)
    assert (parsed, str(parsed), Size.parse(shown)) == (size, shown, parsed)

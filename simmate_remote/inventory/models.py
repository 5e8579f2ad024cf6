"""What a host is: the fields of its file, their types, and what each expects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from simmate_remote.inventory.quantities import Duration, Size
from simmate_remote.inventory.words import (
    check_destination,
    check_environment_name,
    check_host_name,
    check_program,
    check_program_name,
    check_remote_folder,
    check_remote_path,
    check_resource_name,
    check_text,
)


class Expects(NamedTuple):
    """What an error message says about a field.

    Args:
        what: What would be right, in words.
        example: A value that is right, as it is written in YAML.
    """

    what: str
    example: str


def _local_path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("it is no path")
    try:
        path = Path(check_text(str(value))).expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such user here") from error
    if not path.is_absolute():
        # The reader of a file has already put the file's folder before a relative path.
        raise ValueError("it is not absolute")
    return path


WholeNumber = Annotated[int, Field(ge=1, le=100_000)]
EnvironmentName = Annotated[
    str,
    AfterValidator(check_environment_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
]
ProgramName = Annotated[str, AfterValidator(check_program_name)]
ResourceName = Annotated[str, AfterValidator(check_resource_name)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LocalPath = Annotated[
    Path,
    PlainValidator(_local_path),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "minLength": 1}),
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Workers(_Section):
    """The workers that a session starts on the host; what is not given is chosen there, modestly, and said."""

    count: Annotated[
        WholeNumber | None,
        Field(description="How many worker processes."),
        Expects("a whole number of at least 1", "4"),
    ] = None
    threads: Annotated[
        WholeNumber | None,
        Field(description="Threads of each worker."),
        Expects("a whole number of at least 1", "2"),
    ] = None
    memory: Annotated[
        Size | None,
        Field(description="Memory of each worker, such as 8 GiB or 500 MB."),
        Expects("a size with its unit", "8 GiB"),
    ] = None
    environment: Annotated[
        dict[EnvironmentName, Annotated[str, AfterValidator(check_text)]],
        Field(description="Environment variables of each worker; values are text."),
        Expects("names and values of environment variables, values in quotes", '{OMP_NUM_THREADS: "2"}'),
    ] = {}
    resources: Annotated[
        dict[ResourceName, Amount],
        Field(description="Abstract resources of each worker that tasks can ask for (Dask's `resources=`)."),
        Expects("names and amounts of Dask's abstract resources", "{GPU: 1}"),
    ] = {}


class Keepalive(_Section):
    """How soon a dead link is noticed: after about ``interval * tries``."""

    interval: Annotated[
        Duration,
        Field(description="Silence after which the server is asked whether it is there."),
        Expects("a duration with its unit", "5 s"),
    ] = Duration(5)
    tries: Annotated[
        WholeNumber,
        Field(description="Unanswered questions after which the link is lost."),
        Expects("a whole number of at least 1", "3"),
    ] = 3


class HostDescription(_Section):
    """What a file of the inventory says: a machine that can be reached by SSH, and what SSH does not know of it."""

    ssh: Annotated[
        str,
        AfterValidator(check_destination),
        Field(description="What you would type after `ssh`: an alias, user@name, or ssh://user@name:port."),
        Expects("what you would type after `ssh`", "me@lab-box.uni.edu"),
    ]
    ssh_config: Annotated[
        LocalPath | None,
        Field(
            description="An ssh_config file of this machine to use instead of ~/.ssh/config, as `ssh -F` does; "
            "a relative path begins at the folder of this file."
        ),
        Expects("a path on this machine", "~/.ssh/lab_config"),
    ] = None
    folder: Annotated[
        str,
        AfterValidator(check_remote_folder),
        Field(description="The folder on the host where our files live."),
        Expects("a folder on the host, absolute or beginning with `~/`", "~/simmate-remote"),
    ] = "~/simmate-remote"
    python: Annotated[
        Annotated[str, AfterValidator(check_remote_path)] | None,
        Field(description="A Python interpreter on the host, or the folder of an environment."),
        Expects("a path on the host, absolute or beginning with `~/`", "~/.venvs/lab/bin/python"),
    ] = None
    workers: Annotated[
        Workers,
        Field(description="The workers that a session starts there; without it: a modest number, and said."),
        Expects("a section with count, threads, memory, environment, resources", "{count: 4, threads: 2}"),
    ] = Workers()
    programs: Annotated[
        dict[ProgramName, Annotated[str, AfterValidator(check_program)]],
        Field(
            description="Programs, and folders of their data, that work there needs; `doctor` looks whether they are "
            "there: a command that is looked for on PATH, or a path."
        ),
        Expects(
            "names, and for each a command or a path on the host", "{pw.x: pw.x, pseudo: /usr/share/espresso/pseudo}"
        ),
    ] = {}
    keepalive: Annotated[
        Keepalive,
        Field(description="How soon a dead link is noticed."),
        Expects("a section with interval and tries", "{interval: 5 s, tries: 3}"),
    ] = Keepalive()
    lease: Annotated[
        Duration,
        Field(description="How long the host keeps things without a client and without unfinished tasks."),
        Expects("a duration with its unit", "12 h"),
    ] = Duration(12 * 3600)
    connect_timeout: Annotated[
        Duration,
        Field(description="How long each step of a login may wait for the server (not for a person)."),
        Expects("a duration with its unit", "20 s"),
    ] = Duration(20)
    link: Annotated[
        Literal["asyncssh", "openssh"],
        Field(description="What logs in: asyncssh, which needs no program; or openssh, this machine's `ssh`."),
        Expects("asyncssh or openssh", "openssh"),
    ] = "asyncssh"


class Host(HostDescription):
    """A host of the inventory.

    Args:
        name: What users call it; a safe word, fit for the name of a file.
        source: The file that describes it; ``None`` when SSH alone knows it.
    """

    name: Annotated[str, AfterValidator(check_host_name)]
    source: LocalPath | None = None

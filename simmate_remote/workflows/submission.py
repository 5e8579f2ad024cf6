"""From a target and its parameters to a task of a cluster."""

from __future__ import annotations

import sys
import uuid
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import dask
from distributed import Client, Future

from simmate_remote.errors import WorkflowError
from simmate_remote.workflows.agreement import check_agreement
from simmate_remote.workflows.bundle import Bundle, bundle
from simmate_remote.workflows.call import Call, execute
from simmate_remote.workflows.current import Running
from simmate_remote.workflows.files import pack_files
from simmate_remote.workflows.own_code import InstalledCode, needed_code
from simmate_remote.workflows.pickling import dump
from simmate_remote.workflows.places import TARGET_EXECUTOR
from simmate_remote.workflows.shipped import shipped_module
from simmate_remote.workflows.shipping import ship
from simmate_remote.workflows.signatures import with_defaults
from simmate_remote.workflows.target import Target
from simmate_remote.workflows.unsendable import find_unsendable

_codes: weakref.WeakKeyDictionary[ModuleType, tuple[Bundle | None, InstalledCode]] = weakref.WeakKeyDictionary()
"""The code of each imported module, as it was when it was first wanted: what runs here does not change either."""

_shipped: weakref.WeakKeyDictionary[Client, set[str]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Prepared:
    """A run that can be submitted.

    Args:
        call: What a worker has to do.
        code: The own code that goes along; None: all of it is there, as what a workflow there starts itself.
        installed: The code that must be there already; None: it is, as what a workflow there starts itself.
    """

    call: Call
    code: Bundle | None
    installed: InstalledCode | None

    @property
    def key(self) -> str:
        """The task's."""
        return self.call.key

    def ship(self, client: Client, host: str | None) -> None:
        """Have all code at the cluster: installed code is compared, and own code is sent, once to each.

        Args:
            client: Of the cluster.
            host: What the user calls it, for messages.

        Raises:
            CodeDiffersError: The package that holds the target is another one there.
            ClusterError: The cluster could not take the own code in.
        """
        if self.installed is not None:
            check_agreement(client, self.installed, host)
        if self.code is None:
            return
        there = _shipped.setdefault(client, set())
        if self.code.digest not in there:
            ship(client, self.code)
            there.add(self.code.digest)

    def submit(self, client: Client, *, here: bool = False) -> Future:
        """Hand it to the scheduler.

        Args:
            client: Of a cluster that has the code.
            here: Whether the cluster is the one inside this process, where the function has a thread of its own.
        """
        with dask.annotate(**({"executor": TARGET_EXECUTOR} if here else {})):
            return client.submit(execute, self.call, key=self.key, pure=False)


def prepare(
    target: Target,
    parameters: Mapping[str, Any],
    *,
    here: bool = False,
    part_of: Running | None = None,
    label: str = "",
) -> Prepared:
    """Pack a function's parameters, its files and the user's own code.

    Args:
        target: The function.
        parameters: By name.
        here: Whether it runs in this process, where the code is already.
        part_of: What starts it as a part of a run, which has brought its code; None: it is a run by itself.
        label: What a person calls it, if it is a part of a run.

    Raises:
        WorkflowError: Code, files or parameters cannot be sent.
    """
    values = dict(parameters)
    defaults = {name: value for name, value in with_defaults(target, values).items() if name not in values}
    packed = pack_files(values, defaults)
    try:
        arguments = dump(packed, target.module)
    except Exception as error:
        raise WorkflowError(
            f"a parameter of {target.name} cannot be sent: {find_unsendable(packed) or error}",
            meanwhile="nothing was run",
        ) from error
    there = shipped_module(target.module)
    code, installed = (None, None) if here or there or part_of else _code(target.module)
    digest, names, module = there or (code.digest if code else "", code.names if code else (), target.module)
    key = f"{target.name}-{uuid.uuid4().hex}"
    call = Call(
        key=key,
        run=part_of.run if part_of else key,
        module=module,
        attribute=target.attribute,
        parameters=arguments,
        digest=digest,
        names=names,
        label=label,
        name=target.name,
        home=str(part_of.home.path) if part_of and part_of.home else "",
        execution=part_of.execution if part_of else "",
    )
    return Prepared(call, code, installed)


def _code(name: str) -> tuple[Bundle | None, InstalledCode]:
    module = sys.modules[name]
    if module not in _codes:
        needed = needed_code(name)
        _codes[module] = bundle(needed.own), needed.installed
    return _codes[module]

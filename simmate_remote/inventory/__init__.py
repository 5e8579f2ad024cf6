"""What a host is: one YAML file each, read by pydantic models, and what ~/.ssh/config already says."""

from simmate_remote.inventory.editing import (
    add_host,
    distrust_folder,
    find_checkout_folder,
    remove_host,
    trust_folder,
)
from simmate_remote.inventory.lookup import HostEntry, list_hosts, load_host
from simmate_remote.inventory.models import Host, Keepalive, Workers
from simmate_remote.inventory.quantities import Duration, Size
from simmate_remote.inventory.schema import json_schema

__all__ = [
    "Duration",
    "Host",
    "HostEntry",
    "Keepalive",
    "Size",
    "Workers",
    "add_host",
    "distrust_folder",
    "find_checkout_folder",
    "json_schema",
    "list_hosts",
    "load_host",
    "remove_host",
    "trust_folder",
]

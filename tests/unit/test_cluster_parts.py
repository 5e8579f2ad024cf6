"""Certificates, the plan of workers, and what processes on the host are told."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from distributed import Client, Scheduler, Security

from simmate_remote.cluster.certificates import make_certificates
from simmate_remote.cluster.configuration import PATIENT, scheduler_configuration, worker_configuration
from simmate_remote.cluster.workers import WorkerPlan, plan_workers

FOLDERS = {"logs": "/l", "runtime": "/r", "work": "/r/work"}


def test_certificates_hold_for_years_to_both_sides_of_now() -> None:
    certificates = make_certificates()
    now = dt.datetime.now(dt.UTC)
    for text in (certificates.authority, certificates.scheduler_certificate, certificates.client_certificate):
        certificate = x509.load_pem_x509_certificate(text.encode())
        assert certificate.not_valid_before_utc < now - dt.timedelta(days=3000)
        assert certificate.not_valid_after_utc > now + dt.timedelta(days=3000)


def test_each_session_has_an_authority_of_its_own_that_signed_its_certificates_and_no_others() -> None:
    one, other = make_certificates(), make_certificates()
    authority = x509.load_pem_x509_certificate(one.authority.encode())
    public = authority.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    x509.load_pem_x509_certificate(one.client_certificate.encode()).verify_directly_issued_by(authority)
    with pytest.raises(InvalidSignature):
        x509.load_pem_x509_certificate(other.client_certificate.encode()).verify_directly_issued_by(authority)


async def test_a_scheduler_lets_in_its_own_session_and_nobody_else() -> None:
    ours, strangers = make_certificates(), make_certificates()
    async with Scheduler(
        host="127.0.0.1",
        port=0,
        protocol="tls",
        security=Security(**ours.scheduler()),
        dashboard_address="127.0.0.1:0",
    ) as scheduler:
        async with Client(scheduler.address, security=Security(**ours.client()), asynchronous=True) as client:
            assert client.scheduler_info()["address"] == scheduler.address
        security = Security(**strangers.client())
        with pytest.raises(OSError, match=r"Timed out|closed|certificate|TLS"):
            await Client(scheduler.address, security=security, asynchronous=True, timeout=2)


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (2, 1), (4, 2), (8, 4), (128, 4)])
def test_without_a_word_in_the_inventory_the_number_of_workers_is_modest_and_said(cores: int, count: int) -> None:
    plan = plan_workers({}, cores)
    assert (plan.count, plan.threads) == (count, 1)
    assert plan.said is not None
    assert f"{count} of {cores} cores" in plan.said


def test_what_the_inventory_says_is_done_without_a_word() -> None:
    plan = plan_workers({"count": 7, "threads": 3, "memory": 10**9, "environment": {"A": "b"}}, 2)
    assert plan == WorkerPlan(7, 3, 10**9, {"A": "b"}, {}, None)


def test_what_processes_are_told_is_plain_data_and_holds_no_key_of_another_role() -> None:
    certificates = make_certificates()
    plan = WorkerPlan(2, 1, resources={"GPU": 1})
    scheduler = json.dumps(scheduler_configuration(certificates, plan, FOLDERS, host="lab-box"))
    worker = json.dumps(worker_configuration(certificates, plan, FOLDERS, name="w"))
    assert json.dumps(certificates.scheduler_key) in scheduler
    assert json.dumps(certificates.worker_key) in worker
    for told in (scheduler, worker):
        assert json.dumps(certificates.client_key) not in told
    assert json.dumps(certificates.scheduler_key) not in worker


def test_timeouts_are_the_same_on_all_sides() -> None:
    told = scheduler_configuration(make_certificates(), WorkerPlan(1, 1), FOLDERS, host="lab-box")["dask"]
    assert told["distributed"]["comm"]["timeouts"]["tcp"] == PATIENT["distributed.comm.timeouts.tcp"]

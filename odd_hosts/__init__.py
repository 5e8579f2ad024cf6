"""Odd hosts in the lab, and what doctor, setup, connect and run make of each: ``python -m odd_hosts``."""

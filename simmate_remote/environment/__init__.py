"""The Python environment on the host: compared with the one here, and made equal to it."""

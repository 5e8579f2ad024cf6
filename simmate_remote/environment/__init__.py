"""The Python environment on the host, compared with the one here."""

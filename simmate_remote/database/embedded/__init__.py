"""The embedded Postgres: its folder, its server, and the lease on which that runs."""

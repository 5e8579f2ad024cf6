"""What prepares a worker on the host for the database."""

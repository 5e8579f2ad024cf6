"""One file for each change of the tables, in the manner of Alembic."""

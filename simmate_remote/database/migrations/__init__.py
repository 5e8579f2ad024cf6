"""How the tables come to be what this version of the program expects; :mod:`simmate_remote.database.schema` runs it."""

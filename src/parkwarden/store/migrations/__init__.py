"""Recorded steps from one shape of the state database to the next; run by `store/migrate.py` whenever a database is opened."""

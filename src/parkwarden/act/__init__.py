"""The outside world going out: notifiers and the sender that empties the outbox. Its settings are read by who never sends: nothing is imported here."""

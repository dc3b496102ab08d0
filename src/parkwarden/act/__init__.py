"""The outside world going out: notifiers and the sender that empties the outbox."""

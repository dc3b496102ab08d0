"""The outside world going out: notifiers and the sender that empties the outbox."""

from parkwarden.act.channels import notifiers
from parkwarden.act.notifier import DeliveryError, Notifier
from parkwarden.act.sender import Sender
from parkwarden.act.settings import Channels

__all__ = ["Channels", "DeliveryError", "Notifier", "Sender", "notifiers"]

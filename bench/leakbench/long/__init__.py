"""The long ruler: simulated fleets on virtual time."""

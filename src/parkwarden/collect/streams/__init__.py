"""Readings that others bring: a Prometheus that is asked, and senders that come to us (remote write, OTLP, SkyWalking).

    bytes -> points of an instance -> Assembly: one reading per instance and time -> Roll: events
                 Admission: how much is taken, how politely the rest is refused

A `Stream` is one such source; `run/streams.py` makes those of a configuration. On suspicion a stream is asked to look closer in its own way.
"""

"""A Prometheus-compatible API that is asked for a fleet's readings: `stream` ticks, `api` asks, `fleet` sorts, `targets` knows where to look closer."""

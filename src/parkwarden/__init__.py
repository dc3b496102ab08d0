"""Parkwarden: early warning, diagnosis and self-healing for goroutine leaks in Go services."""

__version__ = "0.1.0"

"""OTLP: metrics of the Go runtime and of processes, sent by SDKs or a Collector, over gRPC and HTTP.

formats/otlp_metrics (bytes -> points) -> identity (whose) -> series (sums, lives) -> Assembly -> Roll
"""

package main

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

// sinks are the exporters, one for each signal.
type sinks struct {
	traces  trace.SpanExporter
	metrics metric.Exporter
	logs    sdklog.Exporter
}

// connect makes the exporters that OTEL_EXPORTER_OTLP_PROTOCOL names; none of them connects yet.
func connect(ctx context.Context) (sinks, error) {
	var made sinks
	var errs [3]error
	switch protocol := os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "", "grpc":
		made.traces, errs[0] = otlptracegrpc.New(ctx)
		made.metrics, errs[1] = otlpmetricgrpc.New(ctx)
		made.logs, errs[2] = otlploggrpc.New(ctx)
	case "http/protobuf":
		made.traces, errs[0] = otlptracehttp.New(ctx)
		made.metrics, errs[1] = otlpmetrichttp.New(ctx)
		made.logs, errs[2] = otlploghttp.New(ctx)
	default:
		return made, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is neither grpc nor http/protobuf", protocol)
	}
	for _, err := range errs {
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

// Command otel is the order desk instrumented with OpenTelemetry's Go SDK: traces, metrics (with the Go runtime's) and logs over
// OTLP, set up as its "getting started" page does.
//
// Where it sends is said as for any such service: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL (grpc, http/protobuf),
// OTEL_METRIC_EXPORT_INTERVAL, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and the SDK's other settings.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"

	"example.com/instrumented/service"
)

func main() {
	flag.Parse()
	ctx := context.Background()
	losses := &losses{}
	otel.SetErrorHandler(losses)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcess(),
		resource.WithAttributes(
			semconv.ServiceName("desk"), semconv.ServiceVersion("1.0.0"), semconv.ServiceInstanceID(rand.Text()),
		),
		resource.WithFromEnv(),
	)
	if err != nil {
		log.Fatal(err)
	}
	sinks, err := connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	spans := &spanCounter{}
	traces := trace.NewTracerProvider(trace.WithResource(about), trace.WithBatcher(sinks.traces), trace.WithSpanProcessor(spans))
	otel.SetTracerProvider(traces)
	meters := metric.NewMeterProvider(metric.WithResource(about), metric.WithReader(metric.NewPeriodicReader(sinks.metrics)))
	otel.SetMeterProvider(meters)
	logs := sdklog.NewLoggerProvider(
		sdklog.WithResource(about), sdklog.WithProcessor(sdklog.NewBatchProcessor(sinks.logs)),
	)
	logger := slog.New(otelslog.NewHandler("desk", otelslog.WithLoggerProvider(logs)))
	// the runtime's numbers are read every 15 s by default, however often they are sent
	if err := runtime.Start(runtime.WithMinimumReadMemStatsInterval(time.Second)); err != nil {
		log.Fatal(err)
	}
	var lines atomic.Int64
	service.Run(service.Telemetry{
		Name: "opentelemetry",
		Handler: func(route string, handler http.Handler) http.Handler {
			return otelhttp.NewHandler(handler, route)
		},
		Transport: otelhttp.NewTransport(http.DefaultTransport),
		Order: func(ctx context.Context, item int) {
			lines.Add(1)
			logger.InfoContext(ctx, "order taken", "item", item)
		},
		State: func() map[string]any {
			return map[string]any{"spans": spans.ended.Load(), "logs": lines.Load(), "errors": losses.state()}
		},
		Close: func(ctx context.Context) error {
			return errors.Join(traces.Shutdown(ctx), meters.Shutdown(ctx), logs.Shutdown(ctx))
		},
	})
}

// spanCounter counts what was made, whatever becomes of it.
type spanCounter struct{ ended atomic.Int64 }

func (c *spanCounter) OnStart(context.Context, trace.ReadWriteSpan) {}
func (c *spanCounter) OnEnd(span trace.ReadOnlySpan) {
	if span.SpanContext().IsSampled() {
		c.ended.Add(1)
	}
}
func (c *spanCounter) Shutdown(context.Context) error   { return nil }
func (c *spanCounter) ForceFlush(context.Context) error { return nil }

// losses hears what the SDK complains of, and prints it as the SDK would.
type losses struct {
	mu    sync.Mutex
	count int
	last  string
}

func (l *losses) Handle(err error) {
	log.Print(err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	l.last = fmt.Sprintf("%.200s", err)
}

func (l *losses) state() map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[string]any{"count": l.count, "last": l.last}
}

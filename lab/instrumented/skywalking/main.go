// Command skywalking is the order desk built with the SkyWalking Go agent: nothing in it sends telemetry, the agent's toolexec puts
// that into net/http, runtime/metrics and zap while the service is built.
//
// Where it sends is said as for any such service: SW_AGENT_REPORTER_GRPC_BACKEND_SERVICE, SW_AGENT_NAME, SW_AGENT_INSTANCE_NAME, and
// the agent's other settings. Built without the agent it is the same desk and sends nothing.
package main

import (
	"context"
	"flag"
	"log"
	"sync/atomic"

	_ "github.com/apache/skywalking-go" // what the agent fills
	"go.uber.org/zap"

	"example.com/instrumented/service"
)

func main() {
	flag.Parse()
	logger, err := zap.NewProduction()
	if err != nil {
		log.Fatal(err)
	}
	var lines atomic.Int64
	service.Run(service.Telemetry{
		Name: "skywalking",
		Order: func(_ context.Context, item int) {
			lines.Add(1)
			logger.Info("order taken", zap.Int("item", item))
		},
		State: func() map[string]any { return map[string]any{"logs": lines.Load()} },
	})
}

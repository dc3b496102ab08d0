// Package plugins takes the place of the agent's own list of plugins in its build: what the order desk needs, and no more.
//
// The agent's list imports a module for each framework it knows (some thirty, none tagged, with the frameworks themselves behind
// them), for a service that only speaks net/http.
package plugins

import (
	"github.com/apache/skywalking-go/plugins/core/instrument"

	"example.com/instrumented/agent/http"
	"example.com/instrumented/agent/runtimemetrics"
)

var instruments = []instrument.Instrument{http.NewInstrument(), runtimemetrics.NewInstrument()}

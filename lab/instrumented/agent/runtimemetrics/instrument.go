// Package runtimemetrics is an agent plugin that reports Go's runtime/metrics as the meters OAP's Go dashboards know.
//
//skywalking:nocopy
package runtimemetrics

import (
	"embed"

	"github.com/apache/skywalking-go/plugins/core/instrument"
)

//go:embed *
var files embed.FS

// Instrument puts meters.go into runtime/metrics.
type Instrument struct{}

// NewInstrument is what the agent's list of plugins calls.
func NewInstrument() *Instrument { return &Instrument{} }

func (*Instrument) Name() string               { return "runtimemetrics" }
func (*Instrument) BasePackage() string        { return "runtime/metrics" }
func (*Instrument) VersionChecker(string) bool { return true }
func (*Instrument) FS() *embed.FS              { return &files }

func (*Instrument) Points() []*instrument.Point {
	return []*instrument.Point{{At: instrument.NewForceEnhance()}}
}

// Package http is an agent plugin for net/http: an entry span per request served, an exit span per request made.
//
// Everything but this file is copied into net/http itself by the agent when it builds a service.
//
//skywalking:nocopy
package http

import (
	"embed"

	"github.com/apache/skywalking-go/plugins/core/instrument"
)

//go:embed *
var files embed.FS

// Instrument says where net/http is changed.
type Instrument struct{}

// NewInstrument is what the agent's list of plugins calls.
func NewInstrument() *Instrument { return &Instrument{} }

func (*Instrument) Name() string               { return "http" }
func (*Instrument) BasePackage() string        { return "net/http" }
func (*Instrument) VersionChecker(string) bool { return true }
func (*Instrument) FS() *embed.FS              { return &files }

func (*Instrument) Points() []*instrument.Point {
	return []*instrument.Point{
		{
			At: instrument.NewMethodEnhance("serverHandler", "ServeHTTP",
				instrument.WithArgType(0, "ResponseWriter"), instrument.WithArgType(1, "*Request")),
			Interceptor: "ServedInterceptor",
		},
		{
			At: instrument.NewMethodEnhance("*Transport", "RoundTrip",
				instrument.WithArgType(0, "*Request"), instrument.WithResultType(0, "*Response")),
			Interceptor: "AskedInterceptor",
		},
	}
}

// Package checkout takes orders.
package checkout

import (
	"encoding/json"
	"net/http"
	"time"

	"example.com/shop/checkout/internal/agent"
)

const maxOrderBytes = 1 << 16

type order struct {
	Basket string `json:"basket"`
	Cents  int    `json:"cents"`
}

// A Handler takes orders over HTTP.
type Handler struct {
	tracing *agent.Agent
}

// NewHandler takes orders and traces them.
func NewHandler(tracing *agent.Agent) *Handler { return &Handler{tracing: tracing} }

// ServeHTTP takes one order.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	span := h.tracing.Begin("POST /orders")
	defer span.End()
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrderBytes)).Decode(&o); err != nil {
		h.tracing.Log.Warn("order refused: %v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.charge(o)
	h.tracing.Log.Info("order of basket %s taken: %d cents", o.Basket, o.Cents)
	w.WriteHeader(http.StatusCreated)
}

func (h *Handler) charge(o order) {
	span := h.tracing.Begin("charge")
	defer span.End()
	time.Sleep(time.Duration(o.Cents%20) * time.Millisecond)
}

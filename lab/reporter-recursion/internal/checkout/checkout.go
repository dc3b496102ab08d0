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
	h.take(o)
	w.WriteHeader(http.StatusCreated)
}

// ServeWalkIn takes one order that needs no basket: for load generators that can only ask.
func (h *Handler) ServeWalkIn(w http.ResponseWriter, _ *http.Request) {
	span := h.tracing.Begin("GET /orders")
	defer span.End()
	h.take(order{Basket: "walk-in"})
	w.Write([]byte("taken\n"))
}

func (h *Handler) take(o order) {
	h.charge(o)
	h.tracing.Log.Info("order of basket %s taken: %d cents", o.Basket, o.Cents)
}

func (h *Handler) charge(o order) {
	span := h.tracing.Begin("charge")
	defer span.End()
	time.Sleep(time.Duration(o.Cents%20) * time.Millisecond)
}

// Package orders turns order messages into priced orders.
package orders

import (
	"context"
	"encoding/json"
	"fmt"

	"example.com/shop/consumer/internal/pricing"
)

// A Message is one order as the shop writes it.
type Message struct {
	Tenant string   `json:"tenant"`
	SKUs   []string `json:"skus"`
}

// A Handler prices orders.
type Handler struct {
	Catalogue *pricing.Catalogue
}

// Handle prices one order.
func (h *Handler) Handle(_ context.Context, raw json.RawMessage) error {
	var m Message
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	book, err := pricing.NewPriceBook(m.Tenant, h.Catalogue)
	if err != nil {
		return err
	}
	total := 0
	for _, sku := range m.SKUs {
		cents, err := book.Price(sku)
		if err != nil {
			return err
		}
		total += cents
	}
	return nil
}

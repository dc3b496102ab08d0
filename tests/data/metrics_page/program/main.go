// Pages: what prometheus/client_golang answers, in both text formats. Usage: pages DIR.
package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests."}, []string{"path"})
	registry.MustRegister(requests)
	requests.WithLabelValues("/a\"b\\c\nd").(prometheus.ExemplarAdder).AddWithExemplar(3, prometheus.Labels{"trace_id": "abc"})
	requests.WithLabelValues("/plain").Add(4)
	for i := 0; i < 20; i++ {
		go func() { select {} }()
	}
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	for name, accept := range map[string]string{"prometheus.txt": "text/plain", "openmetrics.txt": "application/openmetrics-text; version=1.0.0"} {
		request, _ := http.NewRequest("GET", server.URL, nil)
		request.Header.Set("Accept", accept)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if err := os.WriteFile(filepath.Join(os.Args[1], name), body, 0o644); err != nil {
			panic(err)
		}
	}
}

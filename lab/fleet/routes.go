package main

import (
	"fmt"

	"example.com/shop/gometrics"
)

var bounds = []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"}

// durations is what most of a real page consists of: a histogram for each route of the service, 12 series each.
func durations(routes int, requests float64) gometrics.Family {
	family := gometrics.Family{Name: "http_request_duration_seconds", Help: "Time to answer a request.", Kind: "histogram"}
	for route := range routes {
		served := int(requests) / (route + 1)
		labels := fmt.Sprintf(`code="200",path="/r%d"`, route)
		for i, bound := range bounds {
			family.Samples = append(family.Samples, gometrics.Sample{
				Suffix: "_bucket", Labels: fmt.Sprintf(`{%s,le=%q}`, labels, bound), Value: float64(served * (i + 1) / len(bounds)),
			})
		}
		family.Samples = append(family.Samples,
			gometrics.Sample{Suffix: "_sum", Labels: "{" + labels + "}", Value: float64(served) * 0.0137},
			gometrics.Sample{Suffix: "_count", Labels: "{" + labels + "}", Value: float64(served)})
	}
	return family
}

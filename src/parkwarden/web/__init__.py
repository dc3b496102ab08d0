"""What a browser or a scraper may ask of us: /metrics, /healthz, /readyz."""

"""The Grafana dashboards of the chart, written as values; `make docs` makes the JSON of them."""

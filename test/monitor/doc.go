// Package monitor watches a gateway and its box as an owner does: a real Prometheus
// reads both, with the alerts and the dashboard of configs/.
package monitor

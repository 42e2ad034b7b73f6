package monitor

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"

	"github.com/berth-ssh/berth/test/harness"
)

// panel is one of the dashboard, and what it asks of Prometheus.
type panel struct {
	dashboard.Panel
	asks []string
}

// shipped are the panels of the dashboard of configs/. Each key of it must be one that
// Grafana's own schema knows.
func shipped(t *testing.T) (panels []panel) {
	t.Helper()
	text := []byte(harness.Read(t, "../../configs/grafana.json"))
	//lint:ignore SA1019 dashboardv2 is not what a file of the import dialogue has
	var whole dashboard.Dashboard
	wantValid(t, "the dashboard", whole.UnmarshalJSONStrict(text))
	var parts struct{ Panels []json.RawMessage } // which the whole passes over, as a panel does its queries
	if err := json.Unmarshal(text, &parts); err != nil {
		t.Fatal(err)
	}
	for i, part := range parts.Panels {
		what := fmt.Sprintf("panel %d", i+1)
		var p panel
		wantValid(t, what, p.Panel.UnmarshalJSONStrict(part))
		wantValid(t, what, p.Panel.Validate())
		var queries struct{ Targets []json.RawMessage }
		if err := json.Unmarshal(part, &queries); err != nil {
			t.Fatal(err)
		}
		for _, text := range queries.Targets {
			var query prometheus.Dataquery
			wantValid(t, what, query.UnmarshalJSONStrict(text))
			p.asks = append(p.asks, query.Expr)
		}
		panels = append(panels, p)
	}
	return panels
}

// wantValid takes an empty list of errors, which is not nil, for none.
func wantValid(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil && err.Error() != "" {
		t.Fatalf("%s: %v", what, err)
	}
}

// queries are those of the dashboard, by their panels' titles, for all boxes.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range shipped(t) {
		for i, query := range p.asks {
			title := fmt.Sprintf("%s, query %d", *p.Title, i+1)
			all[title] = strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(query)
		}
	}
	return all
}

// The dashboard is one by Grafana's own schema; its panels do not cover each other,
// and each asks for something.
func TestTheDashboardIsOneOfGrafana(t *testing.T) {
	taken := map[string]string{}
	for _, p := range shipped(t) {
		if len(p.asks) == 0 || p.Id == nil || p.GridPos == nil {
			t.Fatalf("panel %q asks for nothing, or has no id or place", *p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			place := fmt.Sprint(x, p.GridPos.Y)
			if x >= 24 || taken[place] != "" {
				t.Errorf("panel %q is beside the page, or on %q", *p.Title, taken[place])
			}
			taken[place] = *p.Title
		}
	}
	if n := len(queries(t)); n < 20 {
		t.Errorf("only %d queries", n)
	}
}

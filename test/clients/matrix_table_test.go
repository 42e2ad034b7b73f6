package clients

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// matrixTable is what came of TestClients, as docs/clients.md shows it.
type matrixTable struct {
	mu   sync.Mutex
	rows []*matrixRow
}

type matrixRow struct {
	client        matrixClient
	version       string
	passed, tried int
	failed        []string
}

func (m *matrixTable) addClient(c matrixClient, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, &matrixRow{client: c, version: version})
}

func (m *matrixTable) add(cell matrixCell, failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.rows {
		if row.client.name != cell.client.name {
			continue
		}
		row.tried++
		if failed {
			row.failed = append(row.failed, cell.String())
		} else {
			row.passed++
		}
	}
}

func (m *matrixTable) log(t *testing.T) {
	var text strings.Builder
	fmt.Fprintln(&text, "| client | what | logins | passed | cannot be |\n|---|---|---|---|---|")
	for _, row := range m.rows {
		fmt.Fprintf(&text, "| %s | %s | %s | %d of %d | %s |\n", row.version, strings.Join(row.client.does, ", "),
			strings.Join(row.client.logins(), ", "), row.passed, row.tried, row.client.reasons())
		for _, cell := range row.failed {
			fmt.Fprintf(&text, "| | | | failed: %s | |\n", cell)
		}
	}
	t.Logf("\n%s", text.String())
}

func (c matrixClient) logins() []string {
	var logins []string
	for _, auth := range auths {
		if c.cannot[auth] == "" {
			logins = append(logins, auth)
		}
	}
	if c.codes {
		logins = append(logins, "key and code")
	}
	return logins
}

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func someResults() *results {
	return &results{
		Doors: []string{"own", "route"},
		Samples: map[string]map[string][]float64{
			"login":                            {"own": {100, 90, 120}, "route": {50, 20, 25}},
			"keystroke echo, p50":              {"own": {40}, "route": {55.4}},
			"scp up":                           {"own": {200, 400}, "route": {450}},
			"CPU of the gateway, up, defaults": {"route": {1.234}},
		},
	}
}

func TestTheTableComparesMediansWithTheReference(t *testing.T) {
	table := someResults().table()
	for _, want := range []string{
		"| login, ms | 100 ±15 % | **0.25** (25 ±60 %) |",
		"| keystroke echo, p50, µs | 40 ±0 % | **+15** (55 ±0 %) |",
		"| scp up, MB/s | 300 ±33 % | **1.50** (450 ±0 %) |",
		"| CPU of the gateway, up, defaults, s/GB | – | 1.23 ±0 % |",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no line %q in\n%s", want, table)
		}
	}
}

func TestAPageKeepsWhatIsNotTheTable(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	begins, ends := place("one")
	os.WriteFile(page, []byte("before\n"+begins+"old\n"+ends+"after\n"), 0o644)
	if err := someResults().write(options{page: page, name: "one"}); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(page)
	if s := string(got); !strings.HasPrefix(s, "before\n") || !strings.HasSuffix(s, "after\n") || strings.Contains(s, "old") || !strings.Contains(s, "| login") {
		t.Errorf("the page is\n%s", s)
	}
	os.WriteFile(page, []byte("no place"), 0o644)
	if someResults().write(options{page: page, name: "one"}) == nil {
		t.Error("no error for a page without a place")
	}
}

func TestTheChartIsXML(t *testing.T) {
	for d := xml.NewDecoder(strings.NewReader(someResults().chart())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Each figure that is measured has a line, and each row has a name of its own.
func TestEveryFigureHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range allFigures() {
		if seen[f.name] || f.unit == "" {
			t.Errorf("figure %q", f.name)
		}
		seen[f.name] = true
	}
}

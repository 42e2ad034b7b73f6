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

// The page shows all stored runs, each goal with their results, and each reason for
// missed goals once.
func TestThePageIsOfAllRuns(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	for _, name := range []string{"second", "other", "first"} {
		of := someResults()
		of.Doors = []string{"own", "route-sshd", "route-exec"}
		of.Samples = map[string]map[string][]float64{
			"scp up":              {"own": {100}, "route-sshd": {114}, "route-exec": {200}},
			"scp down":            {"own": {100}, "route-sshd": {100}},
			"bulk up, defaults":   {"own": {100}, "route-exec": {300}, "exec-by-streams": {270}},
			"login among 1 hosts": {"route-exec": {12}},
		}
		if name == "other" {
			of.Samples = map[string]map[string][]float64{"login among 1 hosts": {"route-exec": {12}}}
		}
		if err := of.write(options{out: filepath.Join(dir, "kept"), page: page, name: name}); err != nil {
			t.Fatal(err)
		}
	}
	written, _ := os.ReadFile(page)
	got := string(written)
	for _, want := range []string{
		"| | at | goal | first | second | |\n|---|---|---|---|---|---|\n",
		"| scp up | route-sshd | ≥ 1.15 | 1.14 | 1.14 | missed: relayed |",
		"| scp up | route-exec | ≥ 1.80 | 2.00 | 2.00 | met |",
		"| bulk up, defaults | exec-by-streams, beside route-exec | ≥ 0.83 | 0.90 | 0.90 | met |",
		"## Run: other", "kept/second.svg", "kept/other.json",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, reason(relayed)); n != 1 {
		t.Errorf("the reason is there %d times", n)
	}
	if strings.Contains(got, reason(engine)) || strings.Index(got, "Run: first") > strings.Index(got, "Run: second") {
		t.Errorf("the page is\n%s", got)
	}
}

func TestEveryGoalIsOfAFigureAndHasAReason(t *testing.T) {
	for _, g := range allGoals() {
		if figureOf(g.figure).unit == "" || reason(g.why) == "" {
			t.Errorf("goal %+v", g)
		}
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

// Each measured figure has a line, and each row has a unique name.
func TestEveryFigureHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range allFigures() {
		if seen[f.name] || f.unit == "" {
			t.Errorf("figure %q", f.name)
		}
		seen[f.name] = true
	}
}

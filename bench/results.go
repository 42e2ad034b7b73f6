package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// results has the results of a run; its JSON is stored beside the charts.
type results struct {
	Date      string                          `json:"date"`
	Machine   string                          `json:"machine"`
	Versions  []string                        `json:"versions"`
	Rounds    int                             `json:"rounds"`
	Megabytes int                             `json:"megabytes"`
	Load      [2]string                       `json:"load"` // before and after, of 1, 5 and 15 minutes
	Doors     []string                        `json:"doors"`
	Samples   map[string]map[string][]float64 `json:"samples"` // by figure and door
}

func newResults(ctx context.Context, o options, doors []*door) *results {
	r := &results{
		Date:      time.Now().UTC().Format(time.DateOnly),
		Machine:   fmt.Sprintf("%d cores of %s", runtime.NumCPU(), line("/proc/cpuinfo", "model name")),
		Rounds:    o.rounds,
		Megabytes: o.megabytes,
		Load:      [2]string{load(), ""},
		Samples:   map[string]map[string][]float64{},
	}
	for _, d := range doors {
		r.Doors = append(r.Doors, d.name)
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	client, _ := output(ctx, "sh", "-c", "ssh -V 2>&1")
	server, _ := output(ctx, "docker", "exec", host, "sh", "-c", "ssh -V 2>&1")
	engine, _ := output(ctx, "docker", "version", "-f", "{{.Server.Version}}")
	built, _ := output(ctx, "go", "version", o.gateway)
	_, built, _ = strings.Cut(built, ": ")
	r.Versions = []string{"Linux " + strings.TrimSpace(string(kernel)), "client " + client, "container " + server, "Docker " + engine, "gateway built by " + built}
	return r
}

// line returns the value of a line "key : value" in a file.
func line(file, key string) string {
	content, _ := os.ReadFile(file)
	for l := range strings.Lines(string(content)) {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func load() string {
	content, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(content))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

func (r *results) add(d *door, measured values) {
	for name, value := range measured {
		if r.Samples[name] == nil {
			r.Samples[name] = map[string][]float64{}
		}
		r.Samples[name][d.name] = append(r.Samples[name][d.name], value)
	}
}

func (r *results) finish() { r.Load[1] = load() }

// table returns a table in Markdown, with a line for each figure and a column for
// each door.
func (r *results) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s; %s. %d rounds, interleaved; %d MB a copy; load average %s before and %s after.\n\n",
		r.Date, r.Machine, strings.Join(r.Versions, "; "), r.Rounds, r.Megabytes, r.Load[0], r.Load[1])
	fmt.Fprintf(&b, "| | %s |\n|---%s|\n", strings.Join(r.Doors, " | "), strings.Repeat("|---", len(r.Doors)))
	for _, f := range allFigures() {
		if r.Samples[f.name] == nil {
			continue
		}
		fmt.Fprintf(&b, "| %s, %s", f.name, f.unit)
		for _, door := range r.Doors {
			b.WriteString(" | " + r.cell(f, door))
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// cell returns a median with its spread, and its comparison with the reference.
func (r *results) cell(f figure, door string) string {
	samples := r.Samples[f.name][door]
	if len(samples) == 0 {
		return "–"
	}
	middle, reference := median(samples), median(r.Samples[f.name][r.Doors[0]])
	cell := fmt.Sprintf("%.*f", f.digits, middle)
	if middle >= math.Pow10(-f.digits)/2 { // otherwise it is shown as 0
		cell += fmt.Sprintf(" ±%.0f %%", spread(samples))
	}
	switch {
	case door == r.Doors[0] || f.kind == absolute:
		return cell
	case f.kind == difference:
		return fmt.Sprintf("**%+.*f** (%s)", f.digits, middle-reference, cell)
	}
	return fmt.Sprintf("**%.2f** (%s)", middle/reference, cell)
}

// spread returns half of the distance between the smallest and the largest sample, in
// percent of the median.
func spread(samples []float64) float64 {
	return 50 * (slices.Max(samples) - slices.Min(samples)) / max(median(samples), 1e-9)
}

// write writes the requested files, and the page from all results that are stored
// beside them.
func (r *results) write(o options) error {
	if o.out == "" {
		return nil
	}
	if o.from == "" {
		if err := r.writeFiles(o.out, o.name); err != nil {
			return err
		}
	}
	if o.page == "" {
		return nil
	}
	return writePage(o.page, o.out)
}

func (r *results) writeFiles(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	all, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), append(all, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".svg"), []byte(r.chart()), 0o644)
}

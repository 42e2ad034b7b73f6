package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed page.md.tmpl
var pageTemplate string

// soakFile is the report of the soak tests (BERTH_SOAK_REPORT), in the directory of
// the results.
const soakFile = "soak.md"

// keptRun has the stored results of one run.
type keptRun struct {
	Name string
	*results
}

// Table returns the run's table.
func (r keptRun) Table() string { return r.table() }

// HasChart reports whether there is something to draw.
func (r keptRun) HasChart() bool { return len(r.groups()) > 0 }

// Busy says how busy the machine was when the run began; "" where it was calm.
func (r keptRun) Busy() string {
	before, _, _ := strings.Cut(r.Load[0], " ")
	load, err := strconv.ParseFloat(before, 64)
	cores, _, _ := strings.Cut(r.Machine, " ")
	n, err2 := strconv.ParseFloat(cores, 64)
	if errors.Join(err, err2) != nil || load <= n {
		return ""
	}
	return fmt.Sprintf("When this run began, the load was %s on %s cores: of other work, or of the run just before it. "+
		"With other work, rates differ from round to round; processor time for each GB and the order of the doors can be relied on.", before, cores)
}

// writePage writes the whole page from all results in a directory.
func writePage(page, dir string) error {
	runs, err := readRuns(dir)
	if err != nil {
		return err
	}
	soak, err := os.ReadFile(filepath.Join(dir, soakFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files, err := filepath.Rel(filepath.Dir(page), dir)
	if err != nil {
		return err
	}
	shown, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return err
	}
	var b strings.Builder
	err = shown.Execute(&b, map[string]any{
		"Runs": runs, "Files": filepath.ToSlash(files), "Goals": goalTable(withGoals(runs)), "Soak": strings.TrimSpace(string(soak)),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(b.String()), 0o644)
}

// readRuns reads the runs of a directory, first and second before the others.
func readRuns(dir string) ([]keptRun, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var runs []keptRun
	for _, name := range names {
		kept, err := readResults(name)
		if err != nil {
			return nil, err
		}
		runs = append(runs, keptRun{strings.TrimSuffix(filepath.Base(name), ".json"), kept})
	}
	rank := func(r keptRun) int { return slices.Index([]string{"second", "first"}, r.Name) }
	slices.SortStableFunc(runs, func(a, b keptRun) int { return rank(b) - rank(a) })
	return runs, nil
}

func readResults(file string) (*results, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	kept := &results{}
	if err := json.Unmarshal(content, kept); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return kept, nil
}

// withGoals returns the runs that have measured a figure with a goal.
func withGoals(runs []keptRun) []keptRun {
	return slices.DeleteFunc(slices.Clone(runs), func(r keptRun) bool {
		return !slices.ContainsFunc(allGoals(), func(g goal) bool {
			_, ok := g.found(r.results)
			return ok
		})
	})
}

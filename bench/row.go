package main

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// row is something that is measured at every door.
type row struct {
	name    string
	once    bool // in the first round only: it is a mean of many already
	measure func(ctx context.Context, g *ground, d *door) (values, error)
}

// values are figures of one measurement, by the name of their figure.
type values map[string]float64

// figure is a line of the table.
type figure struct {
	name   string
	unit   string
	kind   kind
	digits int
}

// kind is how a figure compares with the reference.
type kind int

const (
	ratio      kind = iota // by its ratio to it
	difference             // by what it is more
	absolute               // the reference has none
)

// measureTimeout bounds one measurement.
const measureTimeout = 5 * time.Minute

func allRows() []row {
	return []row{
		{"login", false, login},
		{"bulk", false, func(ctx context.Context, g *ground, d *door) (values, error) { return bulk(ctx, g, d, "defaults") }},
		{"bulk by aes128-gcm", false, func(ctx context.Context, g *ground, d *door) (values, error) {
			return bulk(ctx, g, d, "aes128-gcm", "-c", "aes128-gcm@openssh.com")
		}},
		{"scp", false, scp},
		{"rsync", false, rsync},
		{"echo", false, echo},
		{"echo beside a copy", false, echoBesideCopy},
		{"connections", false, connections},
		{"memory", true, memory},
	}
}

func allFigures() []figure {
	return []figure{
		{"login", "ms", ratio, 0},
		{"bulk up, defaults", "MB/s", ratio, 0},
		{"bulk down, defaults", "MB/s", ratio, 0},
		{"bulk up, aes128-gcm", "MB/s", ratio, 0},
		{"bulk down, aes128-gcm", "MB/s", ratio, 0},
		{"scp up", "MB/s", ratio, 0},
		{"scp down", "MB/s", ratio, 0},
		{"rsync of 2,000 files", "ms", ratio, 0},
		{"keystroke echo, p50", "µs", difference, 0},
		{"keystroke echo beside a copy, p50", "µs", difference, 0},
		{"connections a second, 8 clients", "1/s", ratio, 1},
		{"gateway CPU, up, defaults", "s/GB", absolute, 2},
		{"gateway CPU, down, defaults", "s/GB", absolute, 2},
		{"gateway CPU, up, aes128-gcm", "s/GB", absolute, 2},
		{"gateway CPU, down, aes128-gcm", "s/GB", absolute, 2},
		{"gateway memory, an idle connection with a pty", "KiB", absolute, 0},
	}
}

// chosen are the rows that the expression fits.
func chosen(expression string) ([]row, error) {
	fits, err := regexp.Compile(expression)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, r := range allRows() {
		if fits.MatchString(r.name) {
			rows = append(rows, r)
		}
	}
	if rows == nil {
		return nil, fmt.Errorf("no row fits %q", expression)
	}
	return rows, nil
}

func (r row) measureDoors(ctx context.Context, g *ground, results *results) error {
	for _, d := range g.doors {
		ctx, cancel := context.WithTimeout(ctx, measureTimeout)
		measured, err := r.measure(ctx, g, d)
		cancel()
		if err != nil {
			return fmt.Errorf("%s at %s: %w", r.name, d.name, err)
		}
		results.add(d, measured)
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// row is a measurement that is made at every door.
type row struct {
	name     string
	once     bool // only in the first round: it is already a mean of many
	gateways bool // only at doors with a gateway
	slow     bool // only if it is asked for by name
	measure  func(ctx context.Context, g *ground, d *door) (values, error)
}

// values are the figures of one measurement, by name.
type values map[string]float64

// figure is one line of the table.
type figure struct {
	name   string
	unit   string
	kind   kind
	digits int
}

// kind is how a figure compares with the reference.
type kind int

const (
	ratio      kind = iota // by its ratio to the reference
	difference             // by its difference from the reference
	absolute               // not compared: the reference has none
)

const (
	// measureTimeout bounds one measurement.
	measureTimeout = 9 * time.Minute

	// everything is the expression that selects all rows that are not slow.
	everything = "."
)

func allRows() []row {
	return []row{
		{name: "login", measure: login},
		{name: "bulk", measure: func(ctx context.Context, g *ground, d *door) (values, error) { return bulk(ctx, g, d, "defaults") }},
		{name: "bulk by aes128-gcm", measure: func(ctx context.Context, g *ground, d *door) (values, error) {
			return bulk(ctx, g, d, "aes128-gcm", "-c", "aes128-gcm@openssh.com")
		}},
		{name: "bulk of the engine alone", gateways: true, measure: engineAlone},
		{name: "scp", measure: scp},
		{name: "rsync", measure: rsync},
		{name: "echo", measure: echo},
		{name: "echo beside a copy", measure: echoBesideCopy},
		{name: "connections", measure: connections},
		{name: "echo during logins", once: true, measure: echoDuringLogins},
		{name: "memory", once: true, gateways: true, measure: memory},
		{name: "growth of users", once: true, gateways: true, slow: true, measure: loginsAmongUsers},
		{name: "growth of hosts", once: true, gateways: true, slow: true, measure: loginsAmongHosts},
		{name: "growth of connections", once: true, gateways: true, slow: true, measure: manyIdle},
	}
}

func allFigures() []figure {
	figures := []figure{
		{"login", "ms", ratio, 0},
		{"bulk up, defaults", "MB/s", ratio, 0},
		{"bulk down, defaults", "MB/s", ratio, 0},
		{"bulk up, aes128-gcm", "MB/s", ratio, 0},
		{"bulk down, aes128-gcm", "MB/s", ratio, 0},
		{engineAloneFigure("up"), "MB/s", absolute, 0},
		{engineAloneFigure("down"), "MB/s", absolute, 0},
		{"scp up", "MB/s", ratio, 0},
		{"scp down", "MB/s", ratio, 0},
		{"rsync of 2,000 files", "ms", ratio, 0},
		{"keystroke echo, p50", "µs", difference, 0},
		{"keystroke echo beside a copy, p50", "µs", difference, 0},
		{"keystroke echo beside a copy on the same connection, p50", "µs", difference, 0},
		{"keystroke echo during 200 logins, p50", "µs", absolute, 0},
		{"connections a second, 8 clients", "1/s", ratio, 1},
		{memoryFigure, "KiB", absolute, 0},
	}
	for _, direction := range []string{"up", "down"} {
		figures = append(figures, figure{cpuFigure("engine", direction, "engine alone"), "s/GB", absolute, 2})
	}
	for _, who := range consumers() {
		for _, of := range [][2]string{{"up", "defaults"}, {"down", "defaults"}, {"up", "aes128-gcm"}, {"down", "aes128-gcm"}} {
			figures = append(figures, figure{cpuFigure(who, of[0], of[1]), "s/GB", absolute, 2})
		}
	}
	for _, n := range userSteps() {
		figures = append(figures, figure{loginAmong(n, "users"), "ms", absolute, 1})
	}
	for _, n := range hostSteps() {
		figures = append(figures, figure{loginAmong(n, "hosts"), "ms", absolute, 1})
	}
	for _, n := range idleSteps() {
		figures = append(figures, figure{memoryAmong(n), "KiB", absolute, 0})
	}
	return figures
}

// chosen returns the rows that the expression matches.
func chosen(expression string) ([]row, error) {
	fits, err := regexp.Compile(expression)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, r := range allRows() {
		if fits.MatchString(r.name) && (!r.slow || expression != everything) {
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
		if r.gateways && d.gateway == nil {
			continue
		}
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

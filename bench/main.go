// Command bench measures what the gateway costs, compared with what it replaces: the
// same container, entered through its own sshd at its address (the reference),
// through its published port, and through the gateway by each route. Clients, gateway
// and container are the real ones.
//
// Every round measures every row at every door in turn, so that other load of the
// machine affects all doors alike. The table has the medians. It must run as root,
// since one of the gateways runs as another user.
//
// It is one package, larger than others, because every row is a function of the same
// door, and the page names each row.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// options are the person's choices.
type options struct {
	gateway, provision string // paths of the programs
	beside             string // another build of the gateway, or ""
	base               string // base image of the host
	rounds             int
	megabytes          int
	rows, doors        string // regular expressions
	out                string // directory of NAME.json and NAME.svg; "" for none
	page               string // Markdown file that is written from all results in out; "" for none
	name               string // of the results and their files
	from               string // JSON file to show instead of measuring; "" for none
	profiles           string // directory for profiles of the gateway; "" for none
}

func main() {
	var o options
	flag.StringVar(&o.gateway, "gateway", "bin/berth-gateway", "the `program`")
	flag.StringVar(&o.beside, "beside", "", "measure another build of the gateway beside it: its `program`")
	flag.StringVar(&o.provision, "provision", "bin/berth-provision", "the `program`")
	flag.StringVar(&o.base, "base", os.Getenv("BERTH_BASE_IMAGE"), "`image` that the host is made of; also BERTH_BASE_IMAGE")
	flag.IntVar(&o.rounds, "rounds", 3, "measure everything `n` times")
	flag.IntVar(&o.megabytes, "megabytes", 256, "how much bulk rows copy")
	flag.StringVar(&o.rows, "rows", everything, "measure the rows that this `expression` fits; those of growth only where it is not .")
	flag.StringVar(&o.doors, "doors", ".", "measure at the doors that this `expression` fits, and at the reference")
	flag.StringVar(&o.out, "out", "", "write NAME.json and NAME.svg to this `directory`")
	flag.StringVar(&o.page, "page", "", "write this Markdown `file` from all results in the directory")
	flag.StringVar(&o.name, "name", "first", "`name` of the results, and of their files")
	flag.StringVar(&o.from, "from", "", "show what is in this JSON `file`, and measure nothing")
	flag.Parse()
	o.profiles = os.Getenv(envProfiles)
	if o.from != "" {
		o.name = strings.TrimSuffix(filepath.Base(o.from), ".json")
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	measured, err := readOrMeasure(ctx, o)
	if err != nil {
		return err
	}
	fmt.Print(measured.table())
	return measured.write(o)
}

func readOrMeasure(ctx context.Context, o options) (*results, error) {
	if o.from == "" {
		return measure(ctx, o)
	}
	return readResults(o.from)
}

// measure makes all chosen measurements.
func measure(ctx context.Context, o options) (*results, error) {
	rows, err := chosen(o.rows)
	if err != nil {
		return nil, err
	}
	if o.profiles != "" {
		if o.gateway, err = buildProfiled(ctx, o.profiles); err != nil {
			return nil, err
		}
	}
	ground, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer ground.remove()

	results := newResults(ctx, o, ground.doors)
	if err := measureAll(ctx, o.rounds, rows, ground, results); err != nil && ctx.Err() == nil {
		return nil, err
	}
	results.finish()
	return results, nil
}

// measureAll measures until it has finished or is interrupted. What was measured by
// then counts.
func measureAll(ctx context.Context, rounds int, rows []row, g *ground, results *results) error {
	for round := range rounds {
		for _, row := range rows {
			if row.once && round > 0 {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, row.name)
			if err := row.measureDoors(ctx, g, results); err != nil {
				return err
			}
		}
	}
	return nil
}

package main

import (
	"fmt"
	"slices"
	"strings"
)

// goal is the value that a figure should reach at a door.
type goal struct {
	figure string
	door   string
	most   bool    // the value is a maximum; otherwise a minimum
	value  float64 // a ratio to the reference, or another number by the figure's kind
	beside string  // door that is the reference; "" for the first
	why    string  // name of the reason that is given if the goal is missed
}

// Reasons for missed goals.
const (
	copies    = "copies"
	relayed   = "relayed"
	engine    = "engine"
	stacks    = "stacks"
	relay     = "relay"
	processes = "processes"
)

// reason returns where the time or memory of a missed goal goes, and what was tried.
func reason(name string) string {
	switch name {
	case copies:
		return "In bulk copies by route `exec`, half of the gateway's time is spent in system calls, a fifth in AES-GCM, a tenth to a sixth in waking threads, and a " +
			"twentieth in copies. These were tried and are used: offering only AES-GCM, one vectored write for many packets, pipes of 512 KiB, building packets where they are " +
			"encrypted and sent from, and reading packets into pooled memory in the goroutine that handles them. The last two were compared with a gateway without them, to the gateway's own machine " +
			"on four calm cores with 600 MB a copy (medians of four and five rounds): 1.00 instead of 1.97 and 1.35 instead of 2.38 s/GB up, 1.03 instead of 1.07 and 1.23 instead of 1.30 down, which is less than the spread. " +
			"One thing was tried and is not used, since nobody saw a difference: opening a window by three packets at once."
	case relayed:
		return "By route `sshd` each byte is decrypted and encrypted once more than without a gateway, and the host's own sshd still does all that it does at the " +
			"reference: on two cores, which clients, sshd and gateway share here, the gateway's processor time lowers the rate. With AES-GCM at every door the " +
			"goal needs cores for the gateway alone; this is why route `exec` is the default. The changes to copies gained more here: 1.27 instead of 1.77 and 1.62 instead of " +
			"2.23 s/GB up, 1.35 instead of 2.23 and 1.67 instead of 2.62 down, measured in the same way."
	case engine:
		return "If no descriptor can cross, every byte goes through the engine. Its shim copies in pieces of 4 KiB, and its daemon copies once more and frames the " +
			"output. The rows *engine alone* are `docker exec` with the same bytes and without a gateway: nothing that goes through an engine can be faster. The " +
			"engine alone takes about as much processor time as gateway, container and client together take by descriptors: if all of them share two cores, the copy takes at least twice " +
			"the time."
	case stacks:
		return "Half of the memory of an idle connection is stacks of goroutines: six by route `exec`, and nine by route `sshd`, where x/crypto is used twice. They wait " +
			"for packets, for channels and global requests, for a session's requests, for input, for output, and for the helper. Each has at " +
			"least 2 KiB, and 4 once it has done anything. These were tried and are used: no buffers while idle, x/crypto's own buffers from a pool, code that needs much stack in functions that " +
			"have returned, stacks that begin at 2 KiB, memory given back by both processes after two quiet seconds. Grants and the audit file filter a " +
			"session's requests in the goroutine that reads them, none waits for the next key exchange, and a relay has none that waits for the end of its client: this took " +
			"route `exec` from nine goroutines and 78 KiB to seven and 72, and route `sshd` from fifteen and 118 KiB to eleven and 91 to 99 (after a hundred connections, " +
			"200 more to the gateway's own machine, and 100 more to an sshd there). Since then no goroutine reads packets for another one, which makes six and nine: 67 KiB instead of 76 by route " +
			"`exec`, and 97 instead of 100 by route `sshd`, compared with a gateway of before (one run on a busy machine). With seven goroutines, a connection by route `exec` has 32 KiB of stacks, 27 of 271 objects, none of which is large, " +
			"and 7 of holes between them. Less than one KiB of it is the keeper's. Among the first hundred connections 111 KiB were measured by route `exec`, 29 of which " +
			"a gateway needs only once: the keeper's room for garbage, and pages of the program. After all had closed, Go's runtime kept 10 KiB for each, for its " +
			"descriptions of goroutines and spans; 1,000 more connections added 1 MiB in all. A front that serves nobody and holds 8 MiB more than at its start is replaced by a new one."
	case relay:
		return "A key goes through two SSH connections. Each of them decrypts, encrypts, and wakes a goroutine for each packet in each direction."
	case processes:
		return "Another process than the one that reads the network decides who may enter what, and is asked several times in a login: this takes about 2 ms of " +
			"processor time, of the 15 that a client, the gateway and the container take together on two cores."
	}
	return ""
}

// allGoals returns the goals in the order of the page.
func allGoals() []goal {
	const sshd, exec, streams = "route-sshd", "route-exec", "exec-by-streams"
	const atMost = true
	wallByStreams := 1 / 1.2 // of descriptors' wall 1.2 times, as a rate
	goals := []goal{
		{"login", sshd, atMost, 0.28, "", processes}, {"login", exec, atMost, 0.08, "", processes},
		{"bulk up, defaults", sshd, false, 1.15, "", relayed}, {"bulk up, defaults", exec, false, 2, "", copies},
		{"bulk down, defaults", sshd, false, 1.15, "", relayed}, {"bulk down, defaults", exec, false, 2.5, "", copies},
		{"bulk up, aes128-gcm", sshd, false, 0.75, "", relayed}, {"bulk up, aes128-gcm", exec, false, 1.25, "", copies},
		{"bulk down, aes128-gcm", sshd, false, 0.75, "", relayed}, {"bulk down, aes128-gcm", exec, false, 1.6, "", copies},
		{"scp up", sshd, false, 1.15, "", relayed}, {"scp up", exec, false, 1.8, "", copies},
		{"scp down", sshd, false, 1.15, "", relayed}, {"scp down", exec, false, 1.8, "", copies},
		{"rsync of 2,000 files", sshd, atMost, 0.79, "", relayed}, {"rsync of 2,000 files", exec, atMost, 0.63, "", copies},
		{"keystroke echo, p50", sshd, atMost, 100, "", relay}, {"keystroke echo, p50", exec, atMost, 15, "", relay},
		{"connections a second, 8 clients", sshd, false, 1.1, "", processes}, {"connections a second, 8 clients", exec, false, 8, "", processes},
		{memoryFigure, sshd, atMost, 96, "", stacks}, {memoryFigure, exec, atMost, 48, "", stacks},
	}
	for _, direction := range []string{"up", "down"} {
		cpu := cpuFigure("gateway", direction, "defaults")
		goals = append(goals,
			goal{cpu, sshd, atMost, 2, "", relayed}, goal{cpu, exec, atMost, 1.2, "", copies},
			goal{"bulk " + direction + ", defaults", streams, false, wallByStreams, exec, engine})
	}
	return goals
}

// found returns the goal's figure in a run. ok is false if it was not measured.
func (g goal) found(r *results) (value float64, ok bool) {
	samples := r.Samples[g.figure][g.door]
	if len(samples) == 0 {
		return 0, false
	}
	value = median(samples)
	reference := median(r.Samples[g.figure][g.reference(r)])
	switch kindOf(g.figure) {
	case difference:
		return value - reference, true
	case ratio:
		return value / max(reference, 1e-9), true
	}
	return value, true
}

func (g goal) reference(r *results) string {
	if g.beside != "" {
		return g.beside
	}
	return r.Doors[0]
}

func (g goal) isMet(value float64) bool {
	if g.most {
		return value <= g.value
	}
	return value >= g.value
}

// text returns a value in the unit in which its figure is compared.
func (g goal) text(value float64) string {
	switch f := figureOf(g.figure); f.kind {
	case difference:
		return fmt.Sprintf("%+.*f %s", f.digits, value, f.unit)
	case ratio:
		return fmt.Sprintf("%.2f", value)
	default:
		return fmt.Sprintf("%.*f %s", f.digits, value, f.unit)
	}
}

func (g goal) aim() string {
	if g.most {
		return "≤ " + g.text(g.value)
	}
	return "≥ " + g.text(g.value)
}

// goalTable returns a table in Markdown with a line for each goal and the result of
// each run, followed by the reasons for missed goals. It is "" if no run has measured
// any.
func goalTable(runs []keptRun) string {
	var lines, names []string
	missed := map[string]bool{}
	for _, r := range runs {
		names = append(names, r.Name)
	}
	for _, g := range allGoals() {
		line, why := g.line(runs)
		if line == "" {
			continue
		}
		lines = append(lines, line)
		if why != "" {
			missed[why] = true
		}
	}
	if lines == nil {
		return ""
	}
	head := fmt.Sprintf("| | at | goal | %s | |\n|---|---|---|%s---|\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	return head + strings.Join(lines, "\n") + "\n" + reasons(missed)
}

// line returns the line of a goal; "" if no run has measured it. why is the name of
// the reason if a run has missed it.
func (g goal) line(runs []keptRun) (line, why string) {
	var cells []string
	measured, verdict := false, "met"
	for _, r := range runs {
		value, ok := g.found(r.results)
		switch {
		case !ok:
			cells = append(cells, "–")
			continue
		case !g.isMet(value):
			verdict, why = "missed: "+g.why, g.why
		}
		measured = true
		cells = append(cells, g.text(value))
	}
	if !measured {
		return "", ""
	}
	at := g.door
	if g.beside != "" {
		at += ", beside " + g.beside
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |", g.figure, at, g.aim(), strings.Join(cells, " | "), verdict), why
}

func reasons(missed map[string]bool) string {
	var b strings.Builder
	for _, name := range []string{copies, relayed, engine, stacks, relay, processes} {
		if missed[name] {
			fmt.Fprintf(&b, "\n**%s.** %s\n", name, reason(name))
		}
	}
	return b.String()
}

func figureOf(name string) figure {
	figures := allFigures()
	return figures[slices.IndexFunc(figures, func(f figure) bool { return f.name == name })]
}

func kindOf(name string) kind { return figureOf(name).kind }

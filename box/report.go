package box

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/labels"
)

// Report is the JSON in which a process on a box describes the box to a process
// elsewhere. Both are the same program.
type Report struct {
	Inventory Inventory
	Slow      bool
	NoGPUs    string
	Cores     []Core
	NoCores   string
	Toolkit   string
	Processes map[int]map[string]string // those of containers and those on GPUs, with their parents: files of /proc
}

// MakeReport looks at the box that this process runs on.
func MakeReport(ctx context.Context) Report {
	b := Read(ctx, Engine{})
	return Report{b.Inventory, b.Slow, b.NoGPUs, b.Cores, b.NoCores, b.Toolkit, b.Procs.snapshot(b.GPUs)}
}

// Box is the box that the report is of, with what its engine says.
func (r Report) Box(engine Engine) Box {
	b := Box{Engine: engine, Inventory: r.Inventory, NoGPUs: r.NoGPUs, Cores: r.Cores, NoCores: r.NoCores, Toolkit: r.Toolkit}
	b.Slow, b.Procs = r.Slow, Procs{seen: r.Processes}
	return b
}

// snapshot returns what is asked of processes, and not more of them: no other variable
// leaves the box.
func (p Procs) snapshot(gpus []GPU) map[int]map[string]string {
	all := map[int]map[string]string{}
	entries, _ := os.ReadDir(p.dir) // where there are none, none is known
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && p.Container(pid) != "" {
			p.add(all, pid)
		}
	}
	for _, gpu := range gpus {
		for _, on := range gpu.Processes {
			p.add(all, on.PID)
		}
	}
	return all
}

// add adds a process and its parents.
func (p Procs) add(to map[int]map[string]string, pid int) {
	for ; pid > 1 && to[pid] == nil; pid = p.parent(pid) {
		to[pid] = map[string]string{
			"cgroup":  p.Container(pid),
			"cmdline": p.read(pid, "cmdline"),
			"environ": onlyOwn(p.read(pid, "environ")),
			"status":  "PPid:\t" + strconv.Itoa(p.parent(pid)),
			"limits":  regexp.MustCompile(`Max open files.*`).FindString(p.read(pid, "limits")),
		}
	}
}

// onlyOwn keeps of an environment what tells of sessions.
func onlyOwn(environ string) string {
	var kept []string
	for variable := range strings.SplitSeq(environ, "\x00") {
		if name, _, _ := strings.Cut(variable, "="); name == labels.EnvUser || name == "SSH_CONNECTION" {
			kept = append(kept, variable)
		}
	}
	return strings.Join(kept, "\x00")
}

package box

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/printable"
)

// Process is a line of ps, by its id on this box.
type Process struct {
	PID, Parent int
	Command     string
}

// ParseProcesses reads the rows of ps -eo pid,ppid,args. Rows that are no such
// line are left out.
func ParseProcesses(rows [][]string) []Process {
	var all []Process
	for _, row := range rows {
		if len(row) < 3 {
			continue
		}
		pid, err := strconv.Atoi(row[0])
		parent, err2 := strconv.Atoi(row[1])
		if err == nil && err2 == nil {
			all = append(all, Process{pid, parent, strings.Join(row[2:], " ")})
		}
	}
	return all
}

// Sessions returns a line for each ssh session, and for each process that the
// gateway's helper started, among the processes of a container. sshd says itself
// whose its processes are.
func (p Procs) Sessions(processes []Process) []string {
	var lines []string
	for _, one := range processes {
		if login := sshLogin(one.Command); login != "" {
			lines = append(lines, p.named(login+" by ssh", childrenOf(one, processes)...))
		}
		if isHelper(one.Command) {
			for _, child := range childrenOf(one, processes) {
				lines = append(lines, p.named(Program(child.Command)+", of a session", child))
			}
		}
	}
	return lines
}

// named puts the gateway's user before a session, where a process of it tells.
func (p Procs) named(session string, processes ...Process) string {
	for _, one := range processes {
		if user := p.User(one.PID); user != "" {
			return user + " (" + session + ")"
		}
	}
	return session
}

// OnGPUs returns a line for each of these processes that has memory on a GPU.
func (i Inventory) OnGPUs(processes []Process) []string {
	var lines []string
	for _, gpu := range i.GPUs {
		for _, on := range gpu.Processes {
			if slices.ContainsFunc(processes, func(p Process) bool { return p.PID == on.PID }) {
				lines = append(lines, Program(on.Name)+" (process "+strconv.Itoa(on.PID)+") on "+gpu.UUID)
			}
		}
	}
	return lines
}

// sshLogin is the account and terminal in the title of a session's sshd.
func sshLogin(command string) string {
	m := regexp.MustCompile(`^sshd(?:-session)?: ([\w.-]+@[\w./-]+)`).FindStringSubmatch(command)
	if m == nil {
		return ""
	}
	return m[1]
}

func isHelper(command string) bool {
	words := strings.Fields(command)
	return len(words) > 2 && words[1] == "helper" && words[2] == "run"
}

func childrenOf(parent Process, processes []Process) []Process {
	var children []Process
	for _, p := range processes {
		if p.Parent == parent.PID {
			children = append(children, p)
		}
	}
	return children
}

// maxProgram is how much of a program's name is shown, in runes.
const maxProgram = 64

// Program returns the name of a command's program, fit to be shown: a container
// may call it what it likes.
func Program(command string) string {
	first, _, _ := strings.Cut(command, " ")
	return printable.Line(path.Base(first), maxProgram)
}

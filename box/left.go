package box

import (
	"slices"
	"strconv"
	"strings"
)

// Left returns a line for each process of a container that its image did not start:
// one that a session left running, or that docker exec started. root is the
// container's first process, and probe the command of its health check.
func (p Procs) Left(processes []Process, root int, probe []string) []string {
	var lines []string
	for _, one := range processes {
		outside := !slices.ContainsFunc(processes, func(other Process) bool { return other.PID == one.Parent })
		what := Program(one.Command) + " (process " + strconv.Itoa(one.PID) + ")"
		switch {
		case one.PID == root || isHelper(one.Command) || isProbe(one.Command, probe) || one.hasEnded():
		case outside:
			lines = append(lines, p.named(what+", by docker exec", one))
		case one.Parent == root && p.isOfSession(one, processes):
			lines = append(lines, p.named(what+", left by a session", one))
		}
	}
	return lines
}

// isOfSession reports whether a process that has lost its parent was started in a
// session, which its environment shows. If the environment cannot be read, every
// process counts as such except the first one, which is the image's own.
func (p Procs) isOfSession(one Process, processes []Process) bool {
	if p.areUnknown() {
		first := slices.IndexFunc(processes, func(other Process) bool { return other.Parent == one.Parent })
		return processes[first].PID != one.PID
	}
	environ := "\x00" + p.read(one.PID, "environ")
	return p.User(one.PID) != "" || strings.Contains(environ, "\x00SSH_CONNECTION=")
}

// hasEnded reports whether a process has ended, and only nobody has asked yet how: ps
// writes its name alone, [sh] or [sh] <defunct>.
func (p Process) hasEnded() bool {
	return strings.HasPrefix(p.Command, "[") && (strings.HasSuffix(p.Command, "]") || strings.HasSuffix(p.Command, "<defunct>"))
}

// isProbe reports whether a command is that of a health check, as the engine runs it.
func isProbe(command string, probe []string) bool {
	return len(probe) > 1 && strings.HasSuffix(command, strings.Join(probe[1:], " "))
}

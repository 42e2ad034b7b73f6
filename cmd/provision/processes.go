package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"berth/hosts"
)

// processTable is /proc of this machine.
type processTable struct{ dir string }

// whose says to which container a process on a GPU belongs, to which host that
// is, and who logged in for it.
func (t processTable) whose(p hosts.GPUProcess, holders []gpuHolder, containers []existing) gpuProcess {
	found := gpuProcess{PID: p.PID, Name: p.Name, Memory: p.Memory, Foreign: true}
	id := t.container(p.PID)
	for _, c := range containers {
		if c.id != id {
			continue
		}
		found.Container = c.name
		if c.project() != "" {
			found.Host = c.hostName()
		}
		found.Foreign = !slices.ContainsFunc(holders, func(h gpuHolder) bool { return h.id == id && h.Project != "" })
	}
	found.User = t.login(p.PID)
	return found
}

// container is the id in the process's cgroup, "" where it is in none.
func (t processTable) container(pid int) string {
	return regexp.MustCompile(`[0-9a-f]{64}`).FindString(t.read(pid, "cgroup"))
}

// login is the account of the ssh session that a process comes from.
func (t processTable) login(pid int) string {
	for range 64 { // a table that changes while it is read could have a circle
		if pid <= 1 {
			return ""
		}
		command := strings.ReplaceAll(t.read(pid, "cmdline"), "\x00", " ")
		if users := sessions([]process{{command: command}}); len(users) > 0 {
			account, _, _ := strings.Cut(users[0], "@")
			return account
		}
		pid = t.parent(pid)
	}
	return ""
}

func (t processTable) parent(pid int) int {
	m := regexp.MustCompile(`(?m)^PPid:\s+(\d+)`).FindStringSubmatch(t.read(pid, "status"))
	if m == nil {
		return 0
	}
	parent, _ := strconv.Atoi(m[1])
	return parent
}

// read is "" for a process that has ended.
func (t processTable) read(pid int, file string) string {
	text, _ := os.ReadFile(filepath.Join(t.dir, strconv.Itoa(pid), file))
	return string(text)
}

package main

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/client"

	"berth/auth"
	"berth/box"
	"berth/docker"
	"berth/labels"
)

// processTable is /proc of this machine; "" is none, and knows nothing.
type processTable struct{ dir string }

// processesHere are those of the engine's machine, where that is this one.
func processesHere(api *client.Client) processTable {
	if !docker.IsLocal(api) {
		return processTable{}
	}
	return processTable{"/proc"}
}

// whose says to which container a process on a GPU belongs, to which host that
// is, and who logged in for it.
func (t processTable) whose(p box.GPUProcess, holders []gpuHolder, containers []existing) gpuProcess {
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
	found.User, found.Account = t.login(p.PID)
	return found
}

// container is the id in the process's cgroup, "" where it is in none.
func (t processTable) container(pid int) string {
	return regexp.MustCompile(`[0-9a-f]{64}`).FindString(t.read(pid, "cgroup"))
}

// login is who a process runs for: the gateway's user, and the account of the
// ssh session that it comes from. What a session was told is inherited, so it is
// known of what outlives the session too; the outermost process still has it as
// it was told.
func (t processTable) login(pid int) (user, account string) {
	for range 64 { // a table that changes while it is read could have a circle
		if pid <= 1 {
			break
		}
		user = cmp.Or(t.user(pid), user)
		command := strings.ReplaceAll(t.read(pid, "cmdline"), "\x00", " ")
		if login := sshLogin(command); login != "" {
			account, _, _ = strings.Cut(login, "@")
			break
		}
		pid = t.parent(pid)
	}
	return user, account
}

// user is the gateway's user in a process's environment, which only root and
// its own account may read.
func (t processTable) user(pid int) string {
	for variable := range strings.SplitSeq(t.read(pid, "environ"), "\x00") {
		name, is := strings.CutPrefix(variable, labels.EnvUser+"=")
		if is && auth.CheckName(name) == nil { // a container may say anything
			return name
		}
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
	if t.dir == "" {
		return ""
	}
	text, _ := os.ReadFile(filepath.Join(t.dir, strconv.Itoa(pid), file))
	return string(text)
}

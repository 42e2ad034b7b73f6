package main

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"berth/box"
	"berth/printable"
)

// process is a line of ps, with its id on this machine.
type process struct {
	pid, parent int
	command     string
}

// usersOf is who is on a container: ssh sessions by account and terminal,
// sessions of the gateway's helper, and processes on its GPUs.
func usersOf(ctx context.Context, api *client.Client, c existing, b box.Box) ([]string, error) {
	top, err := api.ContainerTop(ctx, c.id, client.ContainerTopOptions{Arguments: []string{"-eo", "pid,ppid,args"}})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil, nil // it ended meanwhile
	}
	if err != nil {
		return nil, err
	}
	processes := processesOf(top.Processes)
	return slices.Concat(sessions(processes, processesHere(api)), onGPUs(b, processes)), nil
}

func processesOf(rows [][]string) []process {
	var all []process
	for _, row := range rows {
		if len(row) < 3 {
			continue
		}
		pid, err := strconv.Atoi(row[0])
		parent, err2 := strconv.Atoi(row[1])
		if err == nil && err2 == nil {
			all = append(all, process{pid, parent, strings.Join(row[2:], " ")})
		}
	}
	return all
}

// sessions: sshd's own processes say whose they are, and what the helper is the
// parent of is a session's, or was left running by one.
func sessions(processes []process, here processTable) []string {
	var users []string
	for _, p := range processes {
		if login := sshLogin(p.command); login != "" {
			users = append(users, named(login+" by ssh", here, childrenOf(p, processes)...))
		}
		if isHelper(p.command) {
			for _, child := range childrenOf(p, processes) {
				users = append(users, named(program(child.command)+", of a session", here, child))
			}
		}
	}
	return users
}

// named puts the gateway's user before a session, where a process of it tells.
func named(session string, here processTable, processes ...process) string {
	for _, p := range processes {
		if user := here.user(p.pid); user != "" {
			return user + " (" + session + ")"
		}
	}
	return session
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

func childrenOf(parent process, processes []process) []process {
	var children []process
	for _, p := range processes {
		if p.parent == parent.pid {
			children = append(children, p)
		}
	}
	return children
}

// maxProgram is how much of a program's name is shown, in runes.
const maxProgram = 64

// program is a command's, which a container may have named as it likes.
func program(command string) string {
	first, _, _ := strings.Cut(command, " ")
	return printable.Line(path.Base(first), maxProgram)
}

// onGPUs are the processes among these that have memory on a GPU.
func onGPUs(b box.Box, processes []process) []string {
	var users []string
	for _, gpu := range b.GPUs {
		for _, on := range gpu.Processes {
			if slices.ContainsFunc(processes, func(p process) bool { return p.pid == on.PID }) {
				users = append(users, program(on.Name)+" (process "+strconv.Itoa(on.PID)+") on "+gpu.UUID)
			}
		}
	}
	return users
}

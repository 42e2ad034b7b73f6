package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Process is a running process, seen through /proc.
type Process int

// Front returns the process of the gateway that parses the network.
func (g *Gateway) Front(t *testing.T) (front Process) {
	t.Helper()
	Eventually(t, "the gateway has a front", func() bool {
		for _, pid := range childrenOf(g.Command.Process.Pid) {
			words := strings.Split(Process(pid).read("cmdline"), "\x00")
			if len(words) > 1 && words[1] == "front" {
				front = Process(pid)
			}
		}
		return front != 0
	})
	return front
}

// Keeper returns the process that started the front.
func (g *Gateway) Keeper() Process { return Process(g.Command.Process.Pid) }

// Processes returns the gateway's two processes.
func (g *Gateway) Processes(t *testing.T) []Process {
	t.Helper()
	return []Process{g.Keeper(), g.Front(t)}
}

// childrenOf returns the processes that any thread of a process has started.
func childrenOf(pid int) (children []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, word := range strings.Fields(string(text)) {
			child, _ := strconv.Atoi(word)
			children = append(children, child)
		}
	}
	return children
}

func (p Process) path(file string) string { return fmt.Sprintf("/proc/%d/%s", p, file) }

// read returns the content of a file of the process in /proc; "" if it cannot be
// read.
func (p Process) read(file string) string {
	text, _ := os.ReadFile(p.path(file))
	return string(text)
}

// Status returns a line of the process's status.
func (p Process) Status(t *testing.T, name string) string {
	t.Helper()
	for line := range strings.Lines(p.read("status")) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("process %d has no %s in its status", p, name)
	return ""
}

// Environment returns the process's environment.
func (p Process) Environment() []string {
	return strings.FieldsFunc(p.read("environ"), func(r rune) bool { return r == 0 })
}

// CPUTime returns the processor time of the process so far.
func (p Process) CPUTime(t *testing.T) time.Duration {
	t.Helper()
	stat := p.read("stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const user, system, tick = 11, 12, 10 * time.Millisecond // proc(5), counted after the name
	return time.Duration(Number(t, fields[user])+Number(t, fields[system])) * tick
}

// IsGone reports whether the process has ended, even if nobody has waited for it.
func (p Process) IsGone() bool {
	stat := p.read("stat")
	return stat == "" || strings.Contains(stat, ") Z ")
}

// Open returns what the process's descriptors are.
func (p Process) Open(t *testing.T) (all []string) {
	t.Helper()
	links, err := filepath.Glob(p.path("fd/*"))
	if err != nil || len(links) == 0 {
		t.Fatalf("process %d: %d descriptors, %v", p, len(links), err)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil {
			all = append(all, to)
		}
	}
	return all
}

// Remembers reports whether the process's memory contains these bytes. It needs root.
func (p Process) Remembers(t *testing.T, secret []byte) bool {
	t.Helper()
	memory, err := os.Open(p.path("mem"))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	looked := 0
	for line := range strings.Lines(p.read("maps")) {
		var from, to int64
		var may string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &may); n != 3 || !strings.HasPrefix(may, "rw") {
			continue
		}
		part := make([]byte, to-from)
		n, _ := memory.ReadAt(part, from)
		looked += n
		if strings.Contains(string(part[:n]), string(secret)) {
			return true
		}
	}
	if looked == 0 {
		t.Fatalf("nothing of the memory of process %d could be read", p)
	}
	return false
}

package harness

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Mark returns a duration that distinguishes a sleep of this test from all others.
func Mark() string { return fmt.Sprintf("1000.%09d", rand.IntN(1e9)) }

// Marked returns the processes with the mark as an argument, also those in
// containers, which run on this machine's kernel.
func Marked(t *testing.T, mark string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, file := range files {
		line, _ := os.ReadFile(file) // it may have ended
		if slices.Contains(strings.Split(string(line), "\x00"), mark) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			found = append(found, pid)
		}
	}
	return found
}

// AwaitMarked waits until a process with the mark exists.
func AwaitMarked(t *testing.T, mark string) {
	t.Helper()
	Eventually(t, "the process to start", func() bool { return len(Marked(t, mark)) > 0 })
}

// AwaitNoneMarked waits until all processes with the mark have ended.
func AwaitNoneMarked(t *testing.T, mark string) {
	t.Helper()
	Eventually(t, "the process to end", func() bool { return len(Marked(t, mark)) == 0 })
}

// WantMarked checks that the process lives, and ends it if it may. A container's
// processes end with the container.
func WantMarked(t *testing.T, mark string) {
	t.Helper()
	AwaitMarked(t, mark) // during execve a process has no command line
	for _, pid := range Marked(t, mark) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Helpers returns the gateway's own processes on this machine that are helpers; see
// HelpersIn for those in a container.
func (g *Gateway) Helpers(t *testing.T) []int {
	t.Helper()
	return slices.DeleteFunc(allHelpers(t), func(pid int) bool { return parentOf(pid) != g.Command.Process.Pid })
}

func allHelpers(t *testing.T) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if IsHelper(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// IsHelper reports whether a process lives and is a helper.
func IsHelper(pid int) bool {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may have ended
	return strings.Contains(string(line), "\x00helper\x00")
}

func parentOf(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// HelpersIn returns the helpers in a container.
func HelpersIn(t *testing.T, container string) []int {
	t.Helper()
	var found []int
	for line := range strings.Lines(ProcessesIn(t, container)) {
		if strings.Contains(line, " helper run") {
			pid, _ := strconv.Atoi(strings.Fields(line)[0])
			found = append(found, pid)
		}
	}
	return found
}

// ProcessesIn returns the output of ps for a container: a line with pid, ppid, stat
// and args for each process.
func ProcessesIn(t *testing.T, container string) string {
	t.Helper()
	return Must(t, exec.Command("docker", "top", container, "-eo", "pid,ppid,stat,args"))
}

// Talk starts a program and returns its input and output. When the test ends, the
// input is closed and the program awaited.
func Talk(t *testing.T, command *exec.Cmd) (in io.Writer, out io.Reader) {
	t.Helper()
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		command.Wait()
	})
	return stdin, stdout
}

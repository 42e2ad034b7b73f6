package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// mark is a duration that tells a sleep of this test from all others.
func mark() string { return fmt.Sprintf("1000.%09d", rand.IntN(1e9)) }

// marked are the processes with the mark as an argument. A container's are
// among them: they run on this machine's kernel.
func marked(t *testing.T, mark string) []int {
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

func awaitMarked(t *testing.T, mark string) {
	t.Helper()
	await(t, "the process to start", func() bool { return len(marked(t, mark)) > 0 })
}

func awaitNoneMarked(t *testing.T, mark string) {
	t.Helper()
	await(t, "the process to end", func() bool { return len(marked(t, mark)) == 0 })
}

// wantMarked wants the process to live, and ends it, if it may: a container's
// processes go with it.
func wantMarked(t *testing.T, mark string) {
	t.Helper()
	found := marked(t, mark)
	if len(found) == 0 {
		t.Error("the process has ended")
	}
	for _, pid := range found {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// processes are what a session leaves behind, or must not.
func (to target) processes(t *testing.T) {
	t.Run("writer_ends_with_its_reader", func(t *testing.T) {
		m := mark()
		to.want(t, `ssh h "exec -a `+m+` yes" | head -1`, "y\n")
		awaitNoneMarked(t, m)
	})
	t.Run("reader_ends_with_its_input", func(t *testing.T) {
		m := mark()
		to.want(t, `echo in | ssh h "exec -a `+m+` cat"`, "in\n")
		awaitNoneMarked(t, m)
	})
	t.Run("background_process_survives_and_nobody_waits", func(t *testing.T) {
		m := mark()
		to.want(t, `ssh h "sleep `+m+` >/dev/null 2>&1 </dev/null & echo at once"`, "at once\n")
		wantMarked(t, m)
	})
	t.Run("pty_is_hung_up_when_the_client_is_killed", func(t *testing.T) {
		m := mark()
		client := to.start(t, `exec ssh -tt h "sleep `+m+`"`)
		awaitMarked(t, m)
		client.kill()
		awaitNoneMarked(t, m)
	})
	t.Run("background_process_survives_a_killed_client", func(t *testing.T) {
		m := mark()
		client := to.start(t, `exec ssh -tt h "setsid -f sleep `+m+` >/dev/null 2>&1 </dev/null; cat"`)
		awaitMarked(t, m)
		client.kill()
		client.wait(t)
		wantMarked(t, m)
	})
	t.Run("killed_client_takes_its_pipes_with_it", func(t *testing.T) {
		m := mark()
		client := to.start(t, `exec ssh h "exec -a `+m+` yes" >/dev/null`)
		awaitMarked(t, m)
		client.kill()
		awaitNoneMarked(t, m)
	})
}

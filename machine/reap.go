package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// children holds the processes that were started here and are not reaped yet, whose
// end somebody waits for.
type children struct {
	mu   sync.Mutex
	pids map[int]bool
}

// start starts a process and registers it before it can be reaped.
func (c *children) start(path string, argv []string, attr *os.ProcAttr) (*os.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	process, err := os.StartProcess(path, argv, attr)
	if err != nil {
		return nil, err
	}
	if c.pids == nil {
		c.pids = map[int]bool{}
	}
	c.pids[process.Pid] = true
	return process, nil
}

func (c *children) reaped(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pids, pid)
}

// ReapOrphans reaps processes that Start did not start, but that became children of
// this one as their nearest subreaper (prctl(2)). It returns how many children are
// left, of either kind.
func (l *Local) ReapOrphans() (left int) {
	l.children.mu.Lock()
	defer l.children.mu.Unlock()
	for _, pid := range ownChildren() {
		if !l.children.pids[pid] {
			if reaped, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); reaped == pid {
				continue
			}
		}
		left++
	}
	return left
}

// ownChildren returns the children of all threads, since the kernel may give an
// orphan to any of them.
func ownChildren() []int {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil
	}
	var pids []int
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

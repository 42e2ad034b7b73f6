package box

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/labels"
)

// Procs are the processes of a box: what a directory as /proc is says of them now, or
// what a process on another box said of them. Of the zero value nothing is known.
type Procs struct {
	dir  string
	seen map[int]map[string]string // files by their name, by process
}

// ProcsIn reads processes in a directory as /proc is.
func ProcsIn(dir string) Procs { return Procs{dir: dir} }

func (p Procs) areUnknown() bool { return p.dir == "" && p.seen == nil }

// Container returns the id in the process's cgroup, or "" where it is in none.
func (p Procs) Container(pid int) string {
	return regexp.MustCompile(`[0-9a-f]{64}`).FindString(p.read(pid, "cgroup"))
}

// Login returns the gateway's user and the account of the ssh session from which a
// process comes; "" if they are unknown. A session's processes inherit them in their
// environment, also those that outlive the session. The outermost process counts, since
// a process inside can change its own environment.
func (p Procs) Login(pid int) (user, account string) {
	for range 64 { // a table that changes while it is read could have a circle
		if pid <= 1 {
			break
		}
		user = cmp.Or(p.User(pid), user)
		command := strings.ReplaceAll(p.read(pid, "cmdline"), "\x00", " ")
		if login := sshLogin(command); login != "" {
			account, _, _ = strings.Cut(login, "@")
			break
		}
		pid = p.parent(pid)
	}
	return user, account
}

// User returns the gateway's user in a process's environment, which only root and the
// process's own account may read. It returns "" for a text that is no user's name: a
// container may put anything there.
func (p Procs) User(pid int) string {
	for variable := range strings.SplitSeq(p.read(pid, "environ"), "\x00") {
		name, is := strings.CutPrefix(variable, labels.EnvUser+"=")
		if is && auth.CheckName(name) == nil {
			return name
		}
	}
	return ""
}

// SoftOpenFiles returns how many files a process may have open at first; 0 where
// that is not known.
func (p Procs) SoftOpenFiles(pid int) int {
	m := regexp.MustCompile(`Max open files +(\d+)`).FindStringSubmatch(p.read(pid, "limits"))
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

func (p Procs) parent(pid int) int {
	m := regexp.MustCompile(`(?m)^PPid:\s+(\d+)`).FindStringSubmatch(p.read(pid, "status"))
	if m == nil {
		return 0
	}
	parent, _ := strconv.Atoi(m[1])
	return parent
}

// read is "" for a process that has ended.
func (p Procs) read(pid int, file string) string {
	if p.dir == "" {
		return p.seen[pid][file]
	}
	text, _ := os.ReadFile(filepath.Join(p.dir, strconv.Itoa(pid), file))
	return string(text)
}

package test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// facts is a script that prints all that a process can know of how it was
// started, a line each that begins with its name.
const facts = `
	env | sort | sed 's/^/env /'
	echo "umask $(umask)"; echo "pwd $(pwd)"; echo "id $(id)"; echo "shell $0 $-"
	ulimit -S -a | sed 's/^/soft /'; ulimit -H -a | sed 's/^/hard /'
	grep -E '^(Sig|Cap|Groups|NoNewPrivs|Seccomp:)' /proc/self/status | sed 's/^/status /'
	for file in oom_score_adj cgroup timerslack_ns; do sed "s/^/$file /" /proc/self/$file; done
	for space in cgroup ipc mnt net pid user uts; do echo "namespace $space $(readlink /proc/self/ns/$space)"; done
	echo "nice $(nice)"; echo "descriptors" $(ls /proc/self/fd)
	set -- $(cat /proc/self/stat); echo "leads $([ "$6" = "$$" ] && echo session) $([ "$5" = "$$" ] && echo group)"
	if tty >/dev/null; then
		stty -a | tr ';' '\n' | sed 's/^ */stty /'
		echo "tty $(stat -c '%U %G %a' "$(tty)") $([ "$(tty)" = "$SSH_TTY" ] && echo known)"
	fi
`

// differences are the facts that may differ between a host that is entered by
// its own sshd and the same host by route exec, as docs/exec.md tells with the
// reasons.
func differences() []string {
	return []string{
		"env SSH_CLIENT", "env SSH_CONNECTION", // sshd sees the gateway's address, exec tells the person's
		"env HOSTNAME", // the engine sets it for every process, sshd for none
	}
}

// TestParity compares what two doors of one container lead to, fact by fact.
func TestParity(t *testing.T) {
	c := startContainer(t)
	g := startGateway(t, c.dir, c.config(t))
	relay, exec := g.target(t, "relay", "dev+"+c.host, c.key), g.target(t, "exec", "dev+lab", c.key)
	for name, ssh := range map[string]string{
		"command":               `ssh h "bash -c $(printf %q "$FACTS")"`,
		"command on a terminal": `ssh -tt h "bash -c $(printf %q "$FACTS")" </dev/null`,
		"login shell":           `printf '%s\nexit\n' "$FACTS" | ssh h`,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			sshds, helpers := relay.factsOf(t, ssh), exec.factsOf(t, ssh)
			for _, difference := range compare(sshds, helpers) {
				if !isAllowed(difference) {
					t.Error(difference)
				}
			}
		})
	}
}

// factsOf are the facts by their names.
func (to target) factsOf(t *testing.T, ssh string) map[string]string {
	t.Helper()
	got := to.run(t, ssh, "FACTS="+facts)
	if got.exit != 0 || got.stderr != "" {
		t.Fatalf("exit %d, stderr %s", got.exit, brief(got.stderr))
	}
	found := map[string]string{}
	pts := regexp.MustCompile(`/dev/pts/\d+`)
	for line := range strings.Lines(got.stdout) {
		line = pts.ReplaceAllString(strings.TrimSpace(line), "/dev/pts/N")
		name, value := splitFact(line)
		found[name] = value
	}
	if len(found) < 50 {
		t.Fatalf("only %d facts: %s", len(found), brief(got.stdout))
	}
	return found
}

// splitFact splits after what names a fact: a word, or two, or a limit's name.
func splitFact(line string) (name, value string) {
	for _, pattern := range []string{`^(env \w+)=(.*)`, `^((?:soft|hard) [^(]+) (\(.*)`, `^(status \w+):(.*)`, `^(namespace \w+) (.*)`, `^(stty -?[\w ]+) = (.*)`} {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(line); found != nil {
			return strings.TrimSpace(found[1]), found[2]
		}
	}
	name, value, _ = strings.Cut(line, " ")
	if name == "stty" {
		return line, ""
	}
	return name, value
}

func compare(one, other map[string]string) []string {
	var differences []string
	for name, value := range one {
		if got, there := other[name]; !there || got != value {
			differences = append(differences, fmt.Sprintf("%s: sshd has %q, exec has %q", name, value, got))
		}
	}
	for name, value := range other {
		if _, there := one[name]; !there {
			differences = append(differences, fmt.Sprintf("%s: sshd has none, exec has %q", name, value))
		}
	}
	slices.Sort(differences)
	return differences
}

func isAllowed(difference string) bool {
	name, _, _ := strings.Cut(difference, ": ")
	return slices.Contains(differences(), name)
}

package parity

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// differences are the facts that may differ between a host that is entered by
// its own sshd and the same host by route exec, as docs/exec.md tells with the
// reasons.
func differences() []string {
	return []string{
		"env SSH_CLIENT", "env SSH_CONNECTION", // sshd sees the gateway's address, exec tells the person's
		"env HOSTNAME", // the engine sets it for every process, sshd for none
	}
}

// TestFacts compares what two doors of one container lead to, fact by fact.
func TestFacts(t *testing.T) {
	targets := harness.StartContainer(t).Targets(t)
	relay, exec := targets[1], targets[2]
	for name, ssh := range map[string]string{
		"command":               `ssh h "bash -c $(printf %q "$FACTS")"`,
		"command on a terminal": `ssh -tt h "bash -c $(printf %q "$FACTS")" </dev/null`,
		"login shell":           `printf '%s\nexit\n' "$FACTS" | ssh h`,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			sshds, helpers := factsOf(t, relay, ssh), factsOf(t, exec, ssh)
			for _, difference := range compare(sshds, helpers) {
				if !isAllowed(difference) {
					t.Error(difference)
				}
			}
		})
	}
}

// factsOf are the facts by their names.
func factsOf(t *testing.T, to harness.Target, ssh string) map[string]string {
	t.Helper()
	got := to.Run(t, ssh, "FACTS="+harness.Read(t, "testdata/facts.sh"))
	if got.Exit != 0 || got.Stderr != "" {
		t.Fatalf("exit %d, stderr %s", got.Exit, harness.Brief(got.Stderr))
	}
	found := map[string]string{}
	pts := regexp.MustCompile(`/dev/pts/\d+`)
	for line := range strings.Lines(got.Stdout) {
		line = pts.ReplaceAllString(strings.TrimSpace(line), "/dev/pts/N")
		name, value := splitFact(line)
		found[name] = value
	}
	if len(found) < 50 {
		t.Fatalf("only %d facts: %s", len(found), harness.Brief(got.Stdout))
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

package foreign

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// table is what came of the suites, a row for each door.
type table struct {
	listed []difference
	rows   []row
}

type row struct {
	suite, door string
	got, bare   results
	unlisted    []string // tests that fail here alone, and are in no list
}

func (tb *table) add(r row) { tb.rows = append(tb.rows, r) }

// judge fails the test for what fails at the row's door alone, unless it is
// listed.
func (tb *table) judge(t *testing.T, r row) {
	if r.bare.count(passed) == 0 {
		t.Error("nothing passes with a bare sshd: there is nothing to compare with")
	}
	for _, name := range r.differences() {
		if !slices.ContainsFunc(tb.listed, func(d difference) bool { return d.is(r.suite, name, r.door) }) {
			r.unlisted = append(r.unlisted, name)
			t.Errorf("%s: passes with a bare sshd, and here it is %s; docs/clients.md does not list it", name, r.outcome(name))
		}
	}
	tb.add(r)
}

// differences are the tests that pass with a bare sshd, and not here.
func (r row) differences() []string {
	var names []string
	for name, bare := range r.bare {
		if bare == passed && r.got[name] != passed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r row) outcome(name string) string {
	if r.got[name] == "" {
		return "not run"
	}
	return r.got[name]
}

func (tb *table) log(t *testing.T) {
	var text strings.Builder
	fmt.Fprintln(&text, "| suite | door | passed | of those that pass at a bare sshd | listed | not listed |\n|---|---|---|---|---|---|")
	for _, r := range tb.rows {
		differences := r.differences()
		ofBare := r.bare.count(passed) - len(differences)
		fmt.Fprintf(&text, "| %s | %s | %d | %d of %d | %d | %s |\n", r.suite, r.door, r.got.count(passed),
			ofBare, r.bare.count(passed), len(differences)-len(r.unlisted), strings.Join(r.unlisted, ", "))
	}
	t.Logf("\n%s", text.String())
}

func (r results) count(outcome string) int {
	n := 0
	for _, got := range r {
		if got == outcome {
			n++
		}
	}
	return n
}

// difference is a test that may fail at a door, where a bare sshd passes it.
type difference struct {
	suite string
	test  *regexp.Regexp
	doors []string
}

// is reports whether the difference is that of a test at a door.
func (d difference) is(suite, test, door string) bool {
	return d.suite == suite && d.test.MatchString(test) && (slices.Contains(d.doors, "all") || slices.Contains(d.doors, door))
}

// listHead starts the list of differences in docs/clients.md.
const listHead = "| suite | test | doors | why |\n|---|---|---|---|\n"

// readListed reads the list of differences: suite, test (a * stands for
// anything), doors, reason.
func readListed(t *testing.T, page string) []difference {
	t.Helper()
	_, list, found := strings.Cut(harness.Read(t, page), listHead)
	if !found {
		t.Fatalf("%s has no list of differences, which starts with %q", page, listHead)
	}
	var all []difference
	for line := range strings.Lines(list) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			break
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		for _, test := range strings.Split(cells[1], ", ") {
			all = append(all, difference{cells[0], pattern(test), strings.Split(cells[2], ", ")})
		}
	}
	return all
}

// pattern is a name in which a * stands for anything.
func pattern(name string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(strings.Trim(name, "`"))
	return regexp.MustCompile("^" + strings.ReplaceAll(quoted, `\*`, ".*") + "$")
}

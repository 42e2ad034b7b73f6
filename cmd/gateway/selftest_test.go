package main

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/berth-ssh/berth/selftest"
	"github.com/berth-ssh/berth/selftest/checks"
)

func TestSelftestWantsAHost(t *testing.T) {
	_, stderr, err := runCommand(nil, "selftest")
	if err == nil || stderr != "gateway: accepts 1 arg(s), received 0; usage: berth-gateway selftest HOST [flags]\n" {
		t.Errorf("%v, %q", err, stderr)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	rows := newTable(&out)
	rows.title("host %s", "lab")
	rows.begin("login")
	rows.end(selftest.Result{Name: "login", Checks: 1, Took: 12 * time.Millisecond, Note: "a note"})
	rows.end(selftest.Result{Name: "rsync", Checks: 1, Took: 1500 * time.Millisecond, Err: fmt.Errorf("line\none\x1b[2J%w", os.ErrNotExist)})
	rows.end(selftest.Result{Name: "scp", Checks: 1, Took: 3 * time.Millisecond, Err: fmt.Errorf("no: %w", checks.Skipped("not here"))})
	rows.end(selftest.Result{Name: "3 others", Checks: 3, Err: checks.Skipped("until this is corrected")})
	want := `host lab

login                              ok         12 ms  a note
rsync                              failed     1.5 s  line; one?[2Jfile does not exist
scp                                skipped     3 ms  no: not here
3 others                           skipped           until this is corrected
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", &out, want)
	}
	if rows.ok != 1 || rows.failed != 1 || rows.skipped != 4 {
		t.Errorf("%d ok, %d failed, %d skipped", rows.ok, rows.failed, rows.skipped)
	}
}

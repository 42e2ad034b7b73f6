package machine

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

func TestFindAccount(t *testing.T) {
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	harness.Write(t, passwd, 0o644, "root:x:0:0::/root:/bin/sh\nbroken\nodd:x:-1:0::/:/bin/sh\ndev:x:1000:1001::/home/dev:/bin/bash\n1000:x:7:7::/:/bin/sh\n")
	harness.Write(t, group, 0o644, "root:x:0:\naudio:x:29:dev,root\nbroken\nvideo:x:44:root\ndev:x:1001:\n")
	for name, want := range map[string]Identity{
		"dev":  {1000, 1001, []int{1001, 29}, "/home/dev"},
		"0":    {0, 0, []int{0, 29, 44}, "/root"},
		"1000": {7, 7, []int{7}, "/"}, // a name goes before a number
	} {
		got, err := findAccount(passwd, group, name)
		if err != nil || got.UID != want.UID || got.GID != want.GID || !slices.Equal(got.Groups, want.Groups) || got.Home != want.Home {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := findAccount(passwd, group, "ghost"); !errors.Is(err, ErrNoAccount) || err.Error() != "has no account ghost" {
		t.Errorf("%v", err)
	}
	if got, err := findAccount(passwd, group, "odd"); err == nil {
		t.Errorf("%+v", got)
	}
}

func TestWhoHasNoShellHasTheBourneShell(t *testing.T) {
	passwd := filepath.Join(t.TempDir(), "passwd")
	harness.Write(t, passwd, 0o644, "dev:x:1000:1000::/home/dev:\n")
	if got := accountOf(passwd, 1000); got != (Account{"dev", "/home/dev", "/bin/sh"}) {
		t.Errorf("%+v", got)
	}
	if got := accountOf(passwd, 1001); got.Name != "1001" || got.Shell != firstShell() {
		t.Errorf("one that is not there: %+v", got)
	}
}

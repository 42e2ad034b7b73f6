package machine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheLastValueOfAVariableCounts(t *testing.T) {
	got := mergeEnv([]string{"PATH=/bin", "A=1"}, []string{"PATH=/cuda/bin"}, []string{"A=2", "B=3"})
	if want := []string{"PATH=/cuda/bin", "A=2", "B=3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAccountsAreReadFromPasswd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	os.WriteFile(path, []byte("root:x:0:0:root:/root:/bin/bash\nbroken:x\ndev:x:1000:1000::/home/dev:/bin/zsh\n"), 0o600)
	account, found := lookupUID(path, 1000)
	if want := (Account{"dev", "/home/dev", "/bin/zsh"}); !found || account != want {
		t.Errorf("got %+v, want %+v", account, want)
	}
	if account, found := lookupUID(path, 4242); found {
		t.Errorf("nobody is %+v", account)
	}
}

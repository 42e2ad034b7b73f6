package machine

import (
	"encoding/binary"
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

func TestEtcEnvironmentIsReadAsDebianDoes(t *testing.T) {
	got := parseEnvironment("# proxies\n\nHTTP_PROXY=http://proxy:3128 \n  export HF_HOME=\"/data/hf\"#there\nA='b c'\nE=\n2X=y\nB-D=x\nnothing\nPATH=/x:$PATH\r\n")
	want := []string{"HTTP_PROXY=http://proxy:3128 ", "HF_HOME=/data/hf", "A=b c", "2X=y", "PATH=/x:$PATH"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A laptop's locale that a container has not cost it UTF-8: the C library took
// plain C for it.
func TestALocaleThatIsNotThereCostsNoUTF8(t *testing.T) {
	has := func(locale string) bool { return locale == "C.UTF-8" || locale == "de_DE.UTF-8" }
	for _, c := range []struct{ own, asked, want []string }{
		{nil, []string{"LANG=fr_FR.UTF-8", "A=b"}, []string{"A=b", "LANG=C.UTF-8"}},
		{nil, []string{"LANG=de_DE.UTF-8", "LC_CTYPE=UTF-8"}, []string{"LANG=de_DE.UTF-8"}},
		{[]string{"LANG=C.UTF-8"}, []string{"LANG=de_DE.UTF-8", "LC_TIME=de_DE.UTF-8", "LC_ALL=xx"}, []string{"LC_TIME=de_DE.UTF-8"}},
		{nil, []string{"LC_BERTH=a b", "LANG="}, []string{"LC_BERTH=a b", "LANG="}},
	} {
		if got := knownLocales(c.own, c.asked, has); !slices.Equal(got, c.want) {
			t.Errorf("%q asked of %q: %q, want %q", c.asked, c.own, got, c.want)
		}
	}
}

func TestLocalesAreFoundInFoldersAndInTheArchive(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "usr/lib/locale")
	os.MkdirAll(filepath.Join(dir, "C.utf8"), 0o700)
	os.WriteFile(filepath.Join(dir, "C.utf8", "LC_CTYPE"), nil, 0o600)
	head := []uint32{0xde020109, 0, 0, 0, 0, 28, 22}
	var archive []byte
	for _, number := range head {
		archive = binary.NativeEndian.AppendUint32(archive, number)
	}
	os.WriteFile(filepath.Join(dir, "locale-archive"), append(archive, "en_US.utf8\x00nl_NL@euro"...), 0o600)
	has := localesOf(root)
	for locale, want := range map[string]bool{
		"C": true, "C.UTF-8": true, "en_US.UTF-8": true, "US.utf8": false, "en_US": false, "fr_FR.UTF-8": false, "UTF-8": false, "../../../..": false, "": false,
	} {
		if has(locale) != want {
			t.Errorf("%q: %v", locale, !want)
		}
	}
}

// Musl is on many machines of glibc, for whoever builds static programs.
func TestMuslHasEveryLocaleWhereItIsTheOnlyCLibrary(t *testing.T) {
	root := t.TempDir()
	os.Mkdir(filepath.Join(root, "lib"), 0o700)
	os.Mkdir(filepath.Join(root, "lib64"), 0o700)
	os.WriteFile(filepath.Join(root, "lib/ld-musl-x86_64.so.1"), nil, 0o600)
	has := localesOf(root)
	if !has("fr_FR.UTF-8") {
		t.Error("musl has a locale less")
	}
	os.WriteFile(filepath.Join(root, "lib64/ld-linux-x86-64.so.2"), nil, 0o600)
	if has("fr_FR.UTF-8") {
		t.Error("glibc has what musl has")
	}
}

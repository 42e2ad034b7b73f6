package sftpd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/sys/unix"
)

// cage is a directory that is all that a client sees, beside a secret file.
type cage struct {
	*talk
	outside, inside string
}

const secret = "the secret of somebody else"

func newCage(t *testing.T) cage {
	t.Helper()
	c := cage{outside: t.TempDir()}
	c.inside = filepath.Join(c.outside, "inside")
	must(t, os.Mkdir(c.inside, 0o755), os.Mkdir(filepath.Join(c.inside, "dir"), 0o755))
	harness.Write(t, filepath.Join(c.outside, "secret"), 0o600, secret)
	harness.Write(t, filepath.Join(c.inside, "own"), 0o600, "its own")
	for link, target := range map[string]string{
		"out": "../secret", "outer": "..", "deep": "dir/../../secret", "absolute": filepath.Join(c.outside, "secret"),
		"root": "/", "in": "/own", "proc": "/proc/self/root" + c.outside + "/secret",
	} {
		must(t, os.Symlink(target, filepath.Join(c.inside, link)))
	}
	c.talk = newTalk(t, ourselves(t, "in:"+c.inside))
	return c
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// content is what a path leads to; "" where it cannot be read.
func (c cage) content(path string) string {
	c.t.Helper()
	handle := c.open(path, toRead)
	if handle == "" {
		return ""
	}
	p := c.ask(typeRead, readAt{handle, 0, 1000})
	c.ask(typeClose, onHandle{handle})
	if p.kind != typeData {
		return ""
	}
	return string(p.body[4:])
}

// isUntouched fails the test where what is outside is not as it was.
func (c cage) isUntouched(after string) {
	c.t.Helper()
	entries, err := os.ReadDir(c.outside)
	info, statErr := os.Stat(filepath.Join(c.outside, "secret"))
	must(c.t, err, statErr)
	if len(entries) != 2 || info.Mode().Perm() != 0o600 || harness.Read(c.t, filepath.Join(c.outside, "secret")) != secret {
		c.t.Fatalf("after %s: outside are %v, and the secret has mode %v", after, entries, info.Mode())
	}
}

// The attack: read what is outside of the directory, by dots and by links of every kind.
func TestNoPathLeadsOutOfTheDirectory(t *testing.T) {
	c := newCage(t)
	for path, want := range map[string]string{
		"/own": "its own", "own": "its own", "dir/../own": "its own", "//own": "its own", "/../own": "its own", "../../own": "its own",
		"/in": "its own", "/root/own": "its own", "/outer/own": "its own", "/outer/outer/../own": "its own",
		"/secret": "", "../secret": "", "/../secret": "", "dir/../../secret": "", "/out": "", "/deep": "", "/absolute": "", "/proc": "",
		"/outer/secret": "", "/root/../secret": "", filepath.Join(c.outside, "secret"): "", filepath.Join(c.inside, "own"): "", "": "",
	} {
		if got := c.content(path); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]string{
		".": "/", "": "/", "/": "/", "..": "/", "/outer": "/", "/root": "/", "/dir/": "/dir", "/dir/..": "/", "in": "/own", "/new": "/new", "/out": "/secret", "/dir/new": "/dir/new", "/no/new": "2 No such file",
	} {
		if got, _, _ := strings.Cut(text(c.ask(typeRealpath, onPath{path})), " |"); got != want {
			t.Errorf("the real path of %q is %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"/", "..", "/outer", "/dir/../.."} {
		listed := text(c.ask(typeReaddir, onHandle{handleOf(c.ask(typeOpendir, onPath{path}))}))
		if !strings.Contains(listed, "own |") || strings.Contains(listed, "secret |") {
			t.Errorf("in %s are %s", path, listed)
		}
		if got, want := text(c.ask(typeStat, onPath{path})), text(c.ask(typeStat, onPath{"/"})); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	for name, want := range map[string]string{"": "/ |", "root": "2 no such user", "~": "/ |", "~/own": "/own |", "~root/x": "2 no such user"} {
		request := extendedPath{"home-directory", name}
		if strings.HasPrefix(name, "~") {
			request.Name = "expand-path@openssh.com"
		}
		if got := text(c.ask(typeExtended, request)); !strings.HasPrefix(got, want) {
			t.Errorf("%s of %q: %s, want %s", request.Name, name, got, want)
		}
	}
}

// The attack: change what is outside, by every request that has a path.
func TestNothingOutsideOfTheDirectoryIsChanged(t *testing.T) {
	c := newCage(t)
	for _, path := range []string{"../secret", "/../secret", "/out", "/absolute", "/deep", "/outer/secret", "/proc", "/dir/../../secret"} {
		for _, flags := range []uint32{toWrite, toWrite | toTruncate, toAppend | toWrite} {
			if handle := c.open(path, flags); handle != "" {
				t.Errorf("%s is open to be written", path)
			}
		}
		c.try("setstat", typeSetstat, onAttrs{path, bytesOf(hasMode, 0o777)})
		c.try("setstat", typeSetstat, onAttrs{path, bytesOf(hasSize, 0, 0)})
		c.try("lsetstat", typeExtended, extendedAttrs{"lsetstat@openssh.com", path, bytesOf(hasTimes, 0, 0)})
		c.isUntouched("what sets attributes of " + path)
		if created := c.open(path, toWrite|toCreate); created != "" {
			c.ask(typeWrite, writeAt{created, 0, "mine"})
			c.ask(typeRemove, onPath{"/secret"})
		}
		c.isUntouched("what creates " + path)
	}
	for _, path := range []string{"/", "..", "/..", "/outer/..", "/dir/../.."} {
		for _, kind := range []byte{typeRemove, typeRmdir} {
			if got := text(c.ask(kind, onPath{path})); got == "0 Success" {
				t.Errorf("request %d of %s: %s", kind, path, got)
			}
		}
	}
	for _, to := range []string{"../taken", "/../taken", "/outer/taken", filepath.Join(c.outside, "taken"), "/outer/outer/taken"} {
		c.try("mkdir", typeMkdir, onMode{to, 0, 0})
		c.try("rename", typeRename, onPaths{"/own", to})
		c.try("posix-rename", typeExtended, extendedPaths{"posix-rename@openssh.com", "/dir", to})
		c.try("hardlink", typeExtended, extendedPaths{"hardlink@openssh.com", "/in", to})
		c.try("symlink", typeSymlink, onPaths{"x", to})
		c.try("remove", typeRemove, onPath{to})
		c.try("rmdir", typeRmdir, onPath{to})
		c.isUntouched("what makes " + to)
	}
	for _, from := range []string{"../secret", "/out", "/absolute", "/outer/secret", filepath.Join(c.outside, "secret")} {
		c.try("hardlink", typeExtended, extendedPaths{"hardlink@openssh.com", from, "/hard"})
		if got := c.content("/hard"); got == secret {
			t.Errorf("a hard link to %s is read: %q", from, got)
		}
		c.try("rename", typeExtended, extendedPaths{"posix-rename@openssh.com", from, "/moved"})
		if got := c.content("/moved"); got == secret {
			t.Errorf("%s is moved inside: %q", from, got)
		}
		c.ask(typeRemove, onPath{"/hard"})
		c.isUntouched("what takes " + from)
	}
}

// The attack: change a directory for a link to the outside, again and again, while paths
// go through it.
func TestAPathThatIsChangedMeanwhileLeadsNowhereElse(t *testing.T) {
	c := newCage(t)
	dir, link := filepath.Join(c.inside, "swapped"), filepath.Join(c.inside, "other")
	must(t, os.Mkdir(dir, 0o755), os.Symlink("..", link))
	harness.Write(t, filepath.Join(dir, "secret"), 0o600, "its own")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
			}
		}
	}()
	read := 0
	for range 3000 {
		for _, path := range []string{"swapped/secret", "swapped/../../secret", "dir/../swapped/secret"} {
			if got := c.content(path); strings.Contains(got, secret) {
				t.Fatalf("%s is the secret", path)
			} else if got != "" {
				read++
			}
		}
		c.ask(typeSetstat, onAttrs{"swapped/secret", bytesOf(hasMode, 0o640)})
		c.ask(typeExtended, extendedPaths{"posix-rename@openssh.com", "swapped/secret", "swapped/secret2"})
		c.ask(typeExtended, extendedPaths{"posix-rename@openssh.com", "swapped/secret2", "swapped/secret"})
		c.ask(typeRemove, onPath{"swapped/none"})
	}
	close(stop)
	<-stopped
	c.isUntouched("all of it")
	if read == 0 {
		t.Error("nothing was ever read, so nothing was tried")
	}
}

func TestADirectoryThatIsNotThereIsAnError(t *testing.T) {
	err := Serve(strings.NewReader(""), &bytes.Buffer{}, Options{Directory: filepath.Join(t.TempDir(), "no")})
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "/no, which sftp is granted in") {
		t.Errorf("%v", err)
	}
}

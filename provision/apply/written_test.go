package apply

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
)

// What people wrote is distinguished from what an image brings, whatever order the
// engine lists it in, and no volume is copied.
func TestWhatPeopleWroteIsToldFromTheSystem(t *testing.T) {
	var changes []container.FilesystemChange
	for kind, paths := range map[container.ChangeType]string{
		container.ChangeAdd: "/etc/lab.conf /data /data/volume /data/own /data/own/file /home/dev /home/dev/work /usr/lib/new.so " +
			"/usr/local/bin/tool /srv/a /srv/a/b /srv/a.txt /var/lib/dpkg/info/x /run/sshd /.dockerenv",
		container.ChangeModify: "/etc /etc/shadow /usr /usr/lib /usr/local /usr/local/bin /var /var/lib /home /srv /opt",
		container.ChangeDelete: "/etc/motd",
	} {
		for _, path := range strings.Fields(paths) {
			changes = append(changes, container.FilesystemChange{Kind: kind, Path: path})
		}
	}
	got := writtenOf(changes, []string{"/home/dev/", "/data/volume"})
	if want := strings.Fields("/data/own /etc/lab.conf /srv/a /srv/a.txt /usr/local/bin/tool"); !slices.Equal(got.whole, want) {
		t.Errorf("new: %v, want %v", got.whole, want)
	}
	if want := strings.Fields("/etc/shadow /opt"); !slices.Equal(got.files, want) { // /opt is a directory, which the engine tells
		t.Errorf("changed: %v, want %v", got.files, want)
	}
}

// Files that are put aside may contain passwords.
func TestWhatIsPutAsideIsForRootAlone(t *testing.T) {
	var source, result bytes.Buffer
	w := tar.NewWriter(&source)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "a/", Mode: 0o711},
		{Typeflag: tar.TypeReg, Name: "a/file", Mode: 0o640, Uid: 1000},
		{Typeflag: tar.TypeLink, Name: "a/same", Linkname: "a/file"},
		{Typeflag: tar.TypeSymlink, Name: "a/link", Linkname: "../file"},
	} {
		w.WriteHeader(&h)
	}
	w.Close()
	if err := below(asideDir+"/srv", []string{asideDir, asideDir + "/srv"}, tar.NewReader(&source), tar.NewWriter(&result)); err != nil {
		t.Fatal(err)
	}
	const at = "var/backups/berth"
	want := []string{at + "/ drwx------ ", at + "/srv/ drwxr-xr-x ", at + "/srv/a/ drwx--x--x ", at + "/srv/a/file -rw-r----- ",
		at + "/srv/a/same ---------- " + at + "/srv/a/file", at + "/srv/a/link L--------- ../file"}
	var got []string
	for r := tar.NewReader(&result); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Name+" "+h.FileInfo().Mode().String()+" "+h.Linkname)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

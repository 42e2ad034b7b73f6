package sftpd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// asServer makes the test's own program a server: "rw", "ro" for one that changes
// nothing, or "in:" and a directory that is all it shows.
const asServer = "BERTH_TEST_AS_SFTP_SERVER"

func TestMain(m *testing.M) {
	if as := os.Getenv(asServer); as != "" {
		directory, _ := strings.CutPrefix(as, "in:")
		if directory == as {
			directory = ""
		}
		if err := Serve(os.Stdin, os.Stdout, Options{ReadOnly: as == "ro", Directory: directory}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// openSSHs is the server of OpenSSH, which this one stands for.
func openSSHs(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	const path = "/usr/lib/openssh/sftp-server"
	if _, err := os.Stat(path); err != nil {
		harness.Missing(t, err.Error())
	}
	return exec.Command(path, args...)
}

func ourselves(t *testing.T, as string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), asServer+"="+as)
	return command
}

// talk is a conversation with a server, packet by packet.
type talk struct {
	t     *testing.T
	to    io.Writer
	from  io.Reader
	last  uint32
	offer []string // extensions and their versions
	said  []string // what was asked and answered
}

func newTalk(t *testing.T, command *exec.Cmd) *talk {
	t.Helper()
	k := &talk{t: t}
	k.to, k.from = harness.Talk(t, command)
	send(t, k.to, packet{kind: typeInit, id: 3})
	p, err := readPacket(k.from)
	if p.kind != typeVersion || p.id != 3 {
		t.Fatalf("answered with %+v, %v", p, err)
	}
	for rest := p.body; len(rest) > 0; {
		var pair struct {
			Name, Version string
			Rest          []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(rest, &pair); err != nil {
			t.Fatal(err)
		}
		k.offer, rest = append(k.offer, pair.Name+" "+pair.Version), pair.Rest
	}
	return k
}

func send(t *testing.T, to io.Writer, p packet) {
	t.Helper()
	if err := p.writeTo(to); err != nil {
		t.Fatal(err)
	}
}

func (k *talk) ask(kind byte, fields any) packet {
	k.t.Helper()
	k.last++
	send(k.t, k.to, packet{kind, k.last, ssh.Marshal(fields)})
	answer, err := readPacket(k.from)
	if err != nil || answer.id != k.last {
		k.t.Fatalf("%+v, %v", answer, err)
	}
	return answer
}

// try asks, and notes what is answered.
func (k *talk) try(what string, kind byte, fields any) packet {
	k.t.Helper()
	answer := k.ask(kind, fields)
	k.said = append(k.said, what+": "+text(answer))
	return answer
}

// open opens a file, and returns its handle; "" where it cannot.
func (k *talk) open(path string, flags uint32, attrs ...uint32) string {
	k.t.Helper()
	if attrs == nil {
		attrs = []uint32{0}
	}
	return handleOf(k.try("open "+filepath.Base(path), typeOpen, struct {
		Path  string
		Flags uint32
		Attrs []byte `ssh:"rest"`
	}{path, flags, bytesOf(attrs...)}))
}

func bytesOf(numbers ...uint32) (body []byte) {
	for _, number := range numbers {
		body = binary.BigEndian.AppendUint32(body, number)
	}
	return body
}

func handleOf(p packet) string {
	var m struct{ Handle string }
	if p.kind == typeHandle {
		ssh.Unmarshal(p.body, &m)
	}
	return m.Handle
}

// text is what an answer says, but for what differs from one run to the next.
func text(p packet) string {
	switch p.kind {
	case typeHandle:
		return "a handle"
	case typeStatus:
		var m struct {
			Code           uint32
			Text, Language string
		}
		ssh.Unmarshal(p.body, &m)
		return fmt.Sprintf("%d %s%s", m.Code, m.Text, m.Language)
	case typeAttrs:
		return fmt.Sprintf("attrs %x", p.body[:len(p.body)-8]) // without times
	case typeName:
		return strings.Join(namesIn(p.body), "\n")
	default:
		return fmt.Sprintf("%d %q", p.kind, p.body)
	}
}

// namesIn are the names of an answer, each with its line and its attributes, sorted.
func namesIn(body []byte) (all []string) {
	count, rest := binary.BigEndian.Uint32(body), body[4:]
	for range count {
		var m struct {
			Name, Long string
			Flags      uint32
			Rest       []byte `ssh:"rest"`
		}
		ssh.Unmarshal(rest, &m)
		size := 0
		if m.Flags != 0 {
			size = 8 + 4 + 4 + 4 + 4 + 4
		}
		all = append(all, fmt.Sprintf("%s | %s | %x %x", m.Name, m.Long, m.Flags, m.Rest[:max(0, size-8)]))
		rest = m.Rest[size:]
	}
	slices.Sort(all)
	return all
}

func TestWhatOpenSSHsServerOffersIsOffered(t *testing.T) {
	for _, as := range []struct {
		ours  string
		there []string
	}{{"rw", nil}, {"ro", []string{"-R"}}} {
		there := newTalk(t, openSSHs(t, as.there...)).offer
		for i, offer := range newTalk(t, ourselves(t, as.ours)).offer {
			if i >= len(there) { // what a later one than this has
				break
			}
			if offer != there[i] {
				t.Errorf("%s: %s is offered, and %s there", as.ours, offer, there[i])
			}
		}
	}
}

// Whatever OpenSSH's server answers to a request, this one does.
func TestAnswersAreThoseOfOpenSSHsServer(t *testing.T) {
	for name, script := range map[string]func(k *talk, dir string){
		"files": askOfFiles, "paths": askOfPaths, "attributes": askOfAttributes, "directories": askOfDirectories,
		"extensions": askOfExtensions, "handles": askOfHandles, "copies": askOfCopies,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "there")
			answers := func(command *exec.Cmd, as string) []string {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(dir)
				command.Dir = dir
				k := newTalk(t, command)
				script(k, as)
				return k.said
			}
			there, here := answers(openSSHs(t), dir), answers(ourselves(t, "rw"), dir)
			below := slices.Repeat([]string{""}, len(there))
			if slices.Contains([]string{"files", "paths", "handles", "copies"}, name) { // the others use the files themselves, or homes
				below = answers(ourselves(t, "in:"+dir), "/")
			}
			for i := range there {
				if here[i] != there[i] {
					t.Errorf("%s\nand OpenSSH's server:\n%s", here[i], there[i])
				}
				if want := inside(there[i], dir); below[i] != "" && below[i] != want {
					t.Errorf("in a directory: %s\nand OpenSSH's server:\n%s", below[i], want)
				}
			}
		})
	}
}

// inside is what was said of a directory's files as it is said where the directory is
// all that there is.
func inside(said, dir string) string {
	return strings.NewReplacer(dir+"/", "/", dir, "/", filepath.Dir(dir), "/", "open "+filepath.Base(dir), "open /").Replace(said)
}

// Flags of an open.
const (
	toRead, toWrite, toAppend, toCreate, toTruncate, exclusively = 1, 2, 4, 8, 16, 32
)

type (
	onHandle struct{ Handle string }
	readAt   struct {
		Handle string
		At     uint64
		Size   uint32
	}
	writeAt struct {
		Handle string
		At     uint64
		Data   string
	}
	onMode struct {
		Path        string
		Flags, Mode uint32
	}
	extendedHandle struct{ Name, Handle string }
	extendedPath   struct{ Name, Path string }
	extendedPaths  struct{ Name, From, To string }
	extendedAttrs  struct {
		Name, Path string
		Attrs      []byte `ssh:"rest"`
	}
	copyRequest struct {
		Name, From   string
		FromAt, Size uint64
		To           string
		ToAt         uint64
	}
)

func askOfFiles(k *talk, dir string) {
	path := filepath.Join(dir, "file")
	k.open(path, toRead)
	h := k.open(path, toRead|toWrite|toCreate|exclusively)
	k.try("stat of a new file", typeStat, onPath{path})
	k.try("write", typeWrite, writeAt{h, 0, "0123456789"})
	k.try("write in the middle", typeWrite, writeAt{h, 4, "xy"})
	k.try("write behind a gap", typeWrite, writeAt{h, 20, "z"})
	k.try("write nothing", typeWrite, writeAt{h, 0, ""})
	k.try("read", typeRead, readAt{h, 0, 100})
	k.try("read some", typeRead, readAt{h, 3, 4})
	k.try("read nothing", typeRead, readAt{h, 3, 0})
	k.try("read behind the end", typeRead, readAt{h, 100, 4})
	k.try("read very far", typeRead, readAt{h, 1 << 63, 4})
	k.open(path, toRead|toWrite|toCreate|exclusively)
	a := k.open(path, toWrite|toAppend)
	k.try("append, wherever", typeWrite, writeAt{a, 0, "end"})
	k.try("read of what is written only", typeRead, readAt{a, 0, 1})
	r := k.open(path, toRead)
	k.try("write to what is read only", typeWrite, writeAt{r, 0, "x"})
	k.try("what was appended", typeRead, readAt{r, 0, 100})
	for _, handle := range []string{h, a, r, r, "nonesuch"} {
		k.try("close", typeClose, onHandle{handle})
	}
	k.open(path, toWrite|toTruncate)
	k.try("truncated", typeStat, onPath{path})
	k.open(filepath.Join(dir, "moded"), toWrite|toCreate, hasMode, 0o4751)
	k.try("mode of a new file", typeStat, onPath{filepath.Join(dir, "moded")})
	k.open(filepath.Join(dir, "unwritable"), toWrite|toCreate, hasMode, 0o400)
	k.open(filepath.Join(dir, "nonesuch", "file"), toWrite|toCreate)
	k.open(filepath.Join(path, "below"), toRead)
	k.open(dir, toWrite)
	d := k.open(dir, toRead)
	k.try("read a directory", typeRead, readAt{d, 0, 10})
	k.try("list what was opened as a file", typeReaddir, onHandle{d})
	k.open(strings.Repeat("x", 300), toRead)
	k.open("", toRead)
	k.open(filepath.Join(dir, "neither"), toCreate)
}

func askOfPaths(k *talk, dir string) {
	in := func(name string) string { return filepath.Join(dir, name) }
	k.open(in("file"), toWrite|toCreate)
	k.open(in("other"), toWrite|toCreate)
	k.try("mkdir", typeMkdir, onMode{in("dir"), 0, 0})
	k.try("mkdir with a mode", typeMkdir, onMode{in("moded"), hasMode, 0o2710})
	k.try("its mode", typeStat, onPath{in("moded")})
	k.try("mkdir again", typeMkdir, onMode{in("dir"), 0, 0})
	k.try("mkdir nowhere", typeMkdir, onMode{in("a/b"), 0, 0})
	k.try("rename", typeRename, onPaths{in("file"), in("renamed")})
	k.try("rename of what is gone", typeRename, onPaths{in("file"), in("renamed")})
	k.try("rename to what is there", typeRename, onPaths{in("renamed"), in("other")})
	k.try("rename of a directory to what is there", typeRename, onPaths{in("moded"), in("dir")})
	k.try("rename of a directory", typeRename, onPaths{in("moded"), in("dir/moded")})
	k.try("posix-rename", typeExtended, extendedPaths{"posix-rename@openssh.com", in("renamed"), in("other")})
	k.try("posix-rename of what is gone", typeExtended, extendedPaths{"posix-rename@openssh.com", in("renamed"), in("other")})
	k.try("symlink", typeSymlink, onPaths{"other", in("link")})
	k.try("symlink again", typeSymlink, onPaths{"other", in("link")})
	k.try("symlink to nothing", typeSymlink, onPaths{"nonesuch", in("dangling")})
	k.try("symlink to itself", typeSymlink, onPaths{"loop", in("loop")})
	k.try("symlink to a directory", typeSymlink, onPaths{"dir/moded", in("way")})
	for _, name := range []string{"link", "dangling", "loop", "other", "nonesuch"} {
		k.try("readlink "+name, typeReadlink, onPath{in(name)})
		k.try("stat "+name, typeStat, onPath{in(name)})
		k.try("lstat "+name, typeLstat, onPath{in(name)})
	}
	for _, path := range []string{
		"", ".", "..", "other", "./dir//../other", "link", "dangling", "loop", "nonesuch", "nonesuch/", "nonesuch/x", "nonesuch/..",
		"other/x", "way/..", "way/../..", "/", "//", "/..", in("way/x"), in("dir/"),
	} {
		k.try("realpath "+path, typeRealpath, onPath{path})
		k.try("expand-path "+path, typeExtended, extendedPath{"expand-path@openssh.com", path})
	}
	k.try("hardlink", typeExtended, extendedPaths{"hardlink@openssh.com", in("other"), in("hard")})
	k.try("hardlink again", typeExtended, extendedPaths{"hardlink@openssh.com", in("other"), in("hard")})
	k.try("remove", typeRemove, onPath{in("hard")})
	k.try("remove again", typeRemove, onPath{in("hard")})
	k.try("remove a directory", typeRemove, onPath{in("dir")})
	k.try("rmdir of one with files", typeRmdir, onPath{in("dir")})
	k.try("rmdir of a file", typeRmdir, onPath{in("other")})
	k.try("rmdir", typeRmdir, onPath{in("dir/moded")})
}

func askOfAttributes(k *talk, dir string) {
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	h := k.open(path, toRead|toWrite|toCreate)
	k.try("symlink", typeSymlink, onPaths{"file", link})
	for _, c := range []struct {
		what  string
		attrs []uint32
	}{
		{"size", []uint32{hasSize, 0, 5}},
		{"mode", []uint32{hasMode, 0o100600}},
		{"special mode", []uint32{hasMode, 0o4711}},
		{"owner", []uint32{hasOwner, uint32(os.Getuid()), uint32(os.Getgid())}},
		{"nothing", []uint32{0}},
		{"size and mode", []uint32{hasSize | hasMode, 0, 7, 0o640}},
		{"huge size", []uint32{hasSize, 1 << 31, 0}},
		{"times", []uint32{hasTimes, 1_000_000_000, 1_100_000_000}},
	} {
		attrs := bytesOf(c.attrs...)
		for _, at := range []string{path, link, filepath.Join(dir, "nonesuch")} {
			what := c.what + " of " + filepath.Base(at)
			k.try("setstat "+what, typeSetstat, onAttrs{at, attrs})
			k.try("lsetstat "+what, typeExtended, extendedAttrs{"lsetstat@openssh.com", at, attrs})
		}
		k.try("fsetstat "+c.what, typeFsetstat, onAttrs{h, attrs})
		k.try("fsetstat "+c.what+" of nothing", typeFsetstat, onAttrs{"nonesuch", attrs})
		k.try("fstat", typeFstat, onHandle{h})
	}
	for _, path := range []string{path, link} {
		var found unix.Stat_t
		if err := unix.Lstat(path, &found); err != nil {
			k.t.Fatal(err)
		}
		k.said = append(k.said, fmt.Sprint(path, found.Atim.Sec, found.Mtim.Sec))
	}
}

func askOfDirectories(k *talk, dir string) {
	for i := range 130 {
		k.ask(typeClose, onHandle{k.open(filepath.Join(dir, fmt.Sprintf("f%d", i)), toWrite|toCreate)})
	}
	k.try("symlink", typeSymlink, onPaths{"f1", filepath.Join(dir, "link")})
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o622); err != nil {
		k.t.Fatal(err)
	}
	os.Chtimes(filepath.Join(dir, "f2"), time.Unix(1e9, 0), time.Unix(1e9, 0))
	os.Chmod(filepath.Join(dir, "f3"), 0o640|os.ModeSetuid|os.ModeSticky)
	os.Chown(filepath.Join(dir, "f4"), 54321, 54322)
	h := handleOf(k.try("opendir", typeOpendir, onPath{dir}))
	k.try("fstat of a directory", typeFstat, onHandle{h})
	k.try("read of a directory", typeRead, readAt{h, 0, 10})
	var listed []string
	for {
		answer := k.ask(typeReaddir, onHandle{h})
		if answer.kind != typeName {
			k.said = append(k.said, text(answer))
			break
		}
		listed = append(listed, namesIn(answer.body)...)
	}
	slices.Sort(listed)
	listed = slices.DeleteFunc(listed, func(line string) bool { return strings.HasPrefix(line, ".. ") }) // it is as large as the tests before made it
	k.said = append(k.said, listed...)
	k.try("readdir at the end", typeReaddir, onHandle{h})
	k.try("close", typeClose, onHandle{h})
	k.try("readdir of nothing", typeReaddir, onHandle{h})
	k.try("opendir of a file", typeOpendir, onPath{filepath.Join(dir, "f1")})
	k.try("opendir of nothing", typeOpendir, onPath{filepath.Join(dir, "nonesuch")})
}

func askOfExtensions(k *talk, dir string) {
	path := filepath.Join(dir, "file")
	h := k.open(path, toRead|toWrite|toCreate)
	k.try("limits", typeExtended, struct{ Name string }{"limits@openssh.com"})
	k.try("statvfs of nothing", typeExtended, extendedPath{"statvfs@openssh.com", path + "x"})
	k.try("fstatvfs of nothing", typeExtended, extendedHandle{"fstatvfs@openssh.com", "nonesuch"})
	k.try("fsync", typeExtended, extendedHandle{"fsync@openssh.com", h})
	k.try("fsync of nothing", typeExtended, extendedHandle{"fsync@openssh.com", "nonesuch"})
	for _, name := range []string{"~", "~/", "~/x", "~root", "~root/x/..", "~nonesuch"} {
		k.try("expand-path "+name, typeExtended, extendedPath{"expand-path@openssh.com", name})
	}
	k.try("nobody knows it", typeExtended, struct{ Name string }{"nonesuch@example.com"})
	if there := k.offer; slices.Contains(there, "users-groups-by-id@openssh.com 1") {
		k.try("names", typeExtended, struct{ Name, Users, Groups string }{
			"users-groups-by-id@openssh.com", "\x00\x00\x00\x00\xff\xff\xff\xfe\x00\x00\x00\x01", "\x00\x00\x00\x00\x00\x01\x02\x03"})
	}
	for _, name := range []string{"root", "nonesuch"} {
		k.try("home-directory "+name, typeExtended, extendedPath{"home-directory", name})
	}
}

// A handle is the file that was opened, whatever has become of its name.
func askOfHandles(k *talk, dir string) {
	path, moved := filepath.Join(dir, "file"), filepath.Join(dir, "moved")
	h := k.open(path, toRead|toWrite|toCreate)
	k.try("write", typeWrite, writeAt{h, 0, "mine"})
	k.try("rename", typeRename, onPaths{path, moved})
	other := k.open(path, toRead|toWrite|toCreate) // of the same name
	k.try("write to the other", typeWrite, writeAt{other, 0, "other one"})
	k.try("fstat", typeFstat, onHandle{h})
	k.try("fsetstat", typeFsetstat, onAttrs{h, bytesOf(hasMode, 0o600)})
	k.try("fsync", typeExtended, extendedHandle{"fsync@openssh.com", h})
	k.try("the other's mode", typeStat, onPath{path})
	k.try("its own mode", typeStat, onPath{moved})
	to := k.open(filepath.Join(dir, "copy"), toRead|toWrite|toCreate)
	k.try("copy-data", typeExtended, copyRequest{"copy-data", h, 0, 0, to, 0})
	k.try("what was copied", typeRead, readAt{to, 0, 100})
	k.try("remove", typeRemove, onPath{moved})
	k.try("remove the copy", typeRemove, onPath{filepath.Join(dir, "copy")})
	k.try("copy-data of what has no name", typeExtended, copyRequest{"copy-data", h, 1, 2, to, 9})
	k.try("what was copied then", typeRead, readAt{to, 0, 100})
	k.try("fsync of what has no name", typeExtended, extendedHandle{"fsync@openssh.com", h})
	k.try("fsetstat of what has no name", typeFsetstat, onAttrs{h, bytesOf(hasTimes, 1, 2)})
	k.try("fstat of what has no name", typeFstat, onHandle{h})
}

func askOfCopies(k *talk, dir string) {
	from := k.open(filepath.Join(dir, "from"), toRead|toWrite|toCreate)
	k.try("write", typeWrite, writeAt{from, 0, "0123456789"})
	to := k.open(filepath.Join(dir, "to"), toRead|toWrite|toCreate)
	appending := k.open(filepath.Join(dir, "to"), toWrite|toAppend)
	readable := k.open(filepath.Join(dir, "to"), toRead)
	again := k.open(filepath.Join(dir, "from"), toRead|toWrite)
	d := handleOf(k.try("opendir", typeOpendir, onPath{dir}))
	for _, c := range []struct {
		what         string
		from         string
		fromAt, size uint64
		to           string
		toAt         uint64
	}{
		{"some of it", from, 2, 3, to, 1},
		{"to the end", from, 5, 0, to, 0},
		{"more than there is", from, 8, 5, to, 20},
		{"from behind the end", from, 100, 0, to, 0},
		{"some from behind the end", from, 100, 1, to, 0},
		{"into itself", from, 0, 0, from, 20},
		{"into itself by another handle", from, 0, 0, again, 20},
		{"to the end of a file", from, 0, 2, appending, 0},
		{"of nothing", "nonesuch", 0, 0, to, 0},
		{"to nothing", from, 0, 0, "nonesuch", 0},
		{"of a directory", d, 0, 0, to, 0},
		{"from very far", from, 1 << 63, 0, to, 0},
	} {
		k.try("copy "+c.what, typeExtended, copyRequest{"copy-data", c.from, c.fromAt, c.size, c.to, c.toAt})
		k.try("what is there", typeRead, readAt{readable, 0, 100})
	}
}

// OpenSSH's server says that this succeeds.
func TestACopyThatCannotBeWrittenFails(t *testing.T) {
	k, dir := newTalk(t, ourselves(t, "rw")), t.TempDir()
	from := k.open(filepath.Join(dir, "from"), toRead|toWrite|toCreate)
	k.ask(typeWrite, writeAt{from, 0, "data"})
	to := k.open(filepath.Join(dir, "to"), toRead|toCreate)
	if answer := text(k.ask(typeExtended, copyRequest{"copy-data", from, 0, 2, to, 0})); answer != "2 No such file" {
		t.Errorf("answered with %s", answer)
	}
}

// Who may only read must not write, by whatever request.
func TestWhoMayOnlyReadChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, file := range []string{path, other} {
		if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(command *exec.Cmd) []string {
		k := newTalk(t, command)
		from, to := k.open(path, toRead), k.open(other, toRead)
		for _, flags := range []uint32{toWrite, toRead | toWrite, toRead | toCreate, toRead | toTruncate, toAppend, toCreate} {
			k.open(other, flags)
		}
		k.try("write", typeWrite, writeAt{to, 0, "x"})
		k.try("setstat", typeSetstat, onAttrs{path, bytesOf(hasMode, 0o777)})
		k.try("fsetstat", typeFsetstat, onAttrs{from, bytesOf(hasMode, 0o777)})
		k.try("remove", typeRemove, onPath{path})
		k.try("mkdir", typeMkdir, onMode{filepath.Join(dir, "c"), 0, 0})
		k.try("rmdir", typeRmdir, onPath{dir})
		k.try("rename", typeRename, onPaths{path, filepath.Join(dir, "c")})
		k.try("symlink", typeSymlink, onPaths{path, filepath.Join(dir, "c")})
		k.try("copy-data", typeExtended, copyRequest{"copy-data", from, 0, 0, to, 5})
		k.try("fsync", typeExtended, extendedHandle{"fsync@openssh.com", from})
		k.try("lsetstat", typeExtended, extendedAttrs{"lsetstat@openssh.com", path, bytesOf(hasMode, 0o777)})
		k.try("posix-rename", typeExtended, extendedPaths{"posix-rename@openssh.com", path, filepath.Join(dir, "c")})
		k.try("hardlink", typeExtended, extendedPaths{"hardlink@openssh.com", path, filepath.Join(dir, "c")})
		k.try("read", typeRead, readAt{to, 0, 100})
		k.try("stat", typeStat, onPath{path})
		return k.said
	}
	there, here := ask(openSSHs(t, "-R")), ask(ourselves(t, "ro"))
	for i := range there {
		if here[i] != there[i] {
			t.Errorf("%s\nand OpenSSH's server:\n%s", here[i], there[i])
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

// OpenSSH's client does by extensions what it can, and says so.
func TestOpenSSHsClientUsesTheExtensions(t *testing.T) {
	if _, err := exec.LookPath("sftp"); err != nil {
		harness.Missing(t, err.Error())
	}
	me, err := user.Current()
	if err != nil {
		harness.Missing(t, err.Error())
	}
	dir := t.TempDir()
	data := bytes.Repeat([]byte("data "), 200_000)
	if err := os.WriteFile(filepath.Join(dir, "local"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	server := ourselves(t, "rw")
	command := exec.Command("sftp", "-vvv", "-b", "-", "-D", "env "+asServer+"=rw HOME="+dir+" "+server.Path)
	command.Stdin = strings.NewReader(fmt.Sprintf("cd %s\nput -f local far\ncopy far copied\nrename copied renamed\nln far linked\ndf\nls -l\n", dir))
	command.Dir = dir
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	for _, words := range []string{"fsync@openssh.com", "copy-data", "limits@openssh.com", "hardlink@openssh.com", "users-groups-by-id@openssh.com"} {
		if !strings.Contains(said.String(), words) {
			t.Errorf("it does not say %s: %s", words, said.String())
		}
	}
	if copied, err := os.ReadFile(filepath.Join(dir, "renamed")); !bytes.Equal(copied, data) {
		t.Errorf("%d bytes are copied, %v", len(copied), err)
	}
	if far, linked := stat(t, dir, "far"), stat(t, dir, "linked"); !os.SameFile(far, linked) {
		t.Error("the hard link is none")
	}
	if !strings.Contains(out.String(), " "+me.Username+" ") {
		t.Errorf("a listing does not name %s: %s", me.Username, out.String())
	}
}

func stat(t *testing.T, dir, name string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

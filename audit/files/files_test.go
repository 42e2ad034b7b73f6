package files

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// seen collects what a watcher reports.
type seen struct{ all []string }

func (s *seen) tell(f File) {
	text := fmt.Sprintf("%s %s", f.Action, f.Path)
	if f.To != "" {
		text += " → " + f.To
	}
	if f.Action == Upload || f.Action == Download {
		text += fmt.Sprintf(" %d", f.Bytes)
	}
	if f.Failed {
		text += " failed"
	}
	if f.Cut {
		text += " cut"
	}
	s.all = append(s.all, text)
}

func (s *seen) lost(why string) { s.all = append(s.all, "lost: "+why) }

func (s *seen) want(t *testing.T, name string, want ...string) {
	t.Helper()
	if !slices.Equal(s.all, want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(s.all, "\n"), strings.Join(want, "\n"))
	}
	s.all = nil
}

// A whole session of a real client with a real server.
func TestWhatAnSftpSessionDoes(t *testing.T) {
	server := "/usr/lib/openssh/sftp-server"
	if _, err := os.Stat(server); err != nil {
		t.Skip("no sftp-server of OpenSSH")
	}
	s := &seen{}
	watcher := NewSftp(s.tell, s.lost)
	command := exec.Command(server)
	command.Dir = t.TempDir()
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	client, err := sftp.NewClientPipe(reader{out, watcher.FromHost}, writer{in, watcher.FromClient})
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("0123456789"), 100_000)
	f, err := client.Create("large")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.ReadFrom(bytes.NewReader(large)); err != nil || n != 1_000_000 {
		t.Fatal(n, err)
	}
	f.Close()
	s.want(t, "an upload", "upload large 1000000")
	f, err = client.Open("large")
	if err != nil {
		t.Fatal(err)
	}
	var back bytes.Buffer
	if n, err := f.WriteTo(&back); err != nil || n != 1_000_000 {
		t.Fatal(n, err)
	}
	f.Close()
	s.want(t, "a download", "download large 1000000")
	client.Create("no/such/file")
	client.Open("nothing")
	client.Mkdir("dir")
	client.Rename("large", "dir/large")
	client.PosixRename("dir/large", "dir/larger")
	client.Link("dir/larger", "dir/hard")
	client.Symlink("dir/larger", "soft")
	client.Chmod("dir/hard", 0o600)
	client.Remove("dir/hard")
	client.RemoveDirectory("dir")
	s.want(t, "changes", "upload no/such/file 0 failed", "download nothing 0 failed", "mkdir dir", "rename large → dir/large",
		"rename dir/large → dir/larger", "link dir/larger → dir/hard", "symlink soft → dir/larger", "setstat dir/hard", "remove dir/hard", "rmdir dir failed")
	f, err = client.Create("open")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("some"))
	watcher.End()
	client.Close()
	command.Wait()
	s.want(t, "the end", "upload open 4 cut")
	if _, err := os.Stat(filepath.Join(command.Dir, "dir", "larger")); err != nil {
		t.Error(err)
	}
}

type reader struct {
	from interface{ Read([]byte) (int, error) }
	said func([]byte)
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.said(p[:n])
	return n, err
}

type writer struct {
	to interface {
		Write([]byte) (int, error)
		Close() error
	}
	said func([]byte)
}

func (w writer) Write(p []byte) (int, error) {
	for part := range slices.Chunk(p, 777) { // the network may cut packets anywhere
		w.said(part)
	}
	return w.to.Write(p)
}

func (w writer) Close() error { return w.to.Close() }

func packet(kind byte, id uint32, fields ...any) []byte {
	body := []byte{kind, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
	for _, field := range fields {
		switch field := field.(type) {
		case string:
			body = append(body, ssh.Marshal(struct{ S string }{field})...)
		case uint32:
			body = append(body, ssh.Marshal(struct{ N uint32 }{field})...)
		case uint64:
			body = append(body, ssh.Marshal(struct{ N uint64 }{field})...)
		}
	}
	return append(ssh.Marshal(struct{ N uint32 }{uint32(len(body))}), body...)
}

// The attack: make the gateway use more and more memory, or lose track of what is
// done, with requests that are not answered, handles that stay open, ids that are
// used twice, and malformed packets.
func TestWhatIsHeldIsBounded(t *testing.T) {
	s := &seen{}
	w := NewSftp(s.tell, s.lost)
	for i := range uint32(2 * maxWaiting) {
		w.FromClient(packet(typeRemove, i, fmt.Sprint(i)))
	}
	if len(s.all) != maxWaiting || len(w.waiting) != maxWaiting || s.all[0] != fmt.Sprintf("remove %d cut", maxWaiting) {
		t.Errorf("%d are told, %d wait", len(s.all), len(w.waiting))
	}
	w.FromClient(packet(typeRemove, 7, "again"))
	if last := s.all[len(s.all)-1]; last != "remove 7 cut" {
		t.Error("an id that is used twice:", last)
	}
	s.all = nil
	w = NewSftp(s.tell, s.lost)
	for i := range uint32(100) {
		w.FromClient(packet(typeOpen, i, strings.Repeat("x", maxKept/2), uint32(openRead)))
		w.FromHost(packet(typeHandle, i, fmt.Sprint("h", i)))
		w.FromClient(packet(typeRemove, i, strings.Repeat("y", maxKept/2)))
	}
	if w.paths > maxPaths || len(s.all) < 50 {
		t.Errorf("%d bytes of paths are held, %d are told", w.paths, len(s.all))
	}
	for i := range uint32(100) {
		w.FromHost(packet(typeStatus, i, uint32(0)))
		w.FromClient(packet(typeClose, i, fmt.Sprint("h", i)))
	}
	if w.paths != 0 || len(s.all) != 200 {
		t.Errorf("%d bytes of paths are held at the end, %d are told", w.paths, len(s.all))
	}
	s.all = nil
	w = NewSftp(s.tell, s.lost)
	for i := range uint32(2 * maxFiles) {
		w.FromClient(packet(typeOpen, i, fmt.Sprint("f", i), uint32(openRead)))
		w.FromHost(packet(typeHandle, i, fmt.Sprint("h", i)))
	}
	if len(s.all) != maxFiles || len(w.open) != maxFiles || s.all[0] != fmt.Sprintf("download f%d 0 cut", maxFiles) {
		t.Errorf("%d are told, %d are open", len(s.all), len(w.open))
	}
	for i := range uint32(2 * maxAsked) {
		w.FromClient(packet(typeRead, i, "h7", uint64(0), uint32(10)))
	}
	for i := range uint32(2 * maxAsked) {
		w.FromHost(packet(typeData, i, "0123456789"))
	}
	s.all = nil
	w.FromClient(packet(typeClose, 1, "h7"))
	s.want(t, "reads beyond what is remembered", fmt.Sprintf("download f7 %d", 2*maxAsked*10))
	w.FromHost([]byte{0xff, 0xff, 0xff, 0xff, 3})
	w.FromClient([]byte{0, 0, 0, 0, 3})
	s.want(t, "no packet", "lost: it has a packet that is none")
}

func TestWhatScpDoes(t *testing.T) {
	for command, tt := range map[string]struct {
		client, host string
		want         []string
	}{
		"scp -t x":               {"T1 0 1 0\nC0644 5 a b\nhello\x00C0600 0 empty\n\x00", "\x00\x00", []string{"upload a b 5", "upload empty 0"}},
		"scp -r -p -d -t -- dir": {"D0755 0 d\nC0644 1 f\nx\x00E\nC0644 2 g\nxy\x02lost\n", "", []string{"upload d/f 1", "upload g 2 failed"}},
		"/usr/bin/scp -f x":      {"\x00\x00\x00", "\x01scp: y: No such file\nC0644 3 x\nab", []string{"download x 2 cut"}},
		"scp -pf x":              {"", "D0755 0 a\nD0755 0 b\nC0644 1 c\n1\x00E\nE\nC0644 1 d\n2\x00", []string{"download a/b/c 1", "download d 1"}},
		"scp -f cat":             {"", "C0644 1 a\n1\x00# what is not scp's\n", []string{"download a 1", "lost: it has a line that is none"}},
		"scp  -t y":              {"C0644 -5 a\n", "", []string{"lost: it has a line that is none"}},
	} {
		s := &seen{}
		w := ForCommand(command, s.tell, s.lost)
		for i := range len(tt.client) { // cut at every byte
			w.FromClient([]byte{tt.client[i]})
		}
		w.FromHost([]byte(tt.host))
		w.End()
		s.want(t, command, tt.want...)
	}
	for _, other := range []string{"", "rsync --server", "scp", "scp a b", "scp -- -t", "echo scp -t", "scpx -t y"} {
		if ForCommand(other, nil, nil) != nil {
			t.Errorf("%q is taken for scp", other)
		}
	}
}

func FuzzSftp(f *testing.F) {
	f.Add(slices.Concat(packet(typeOpen, 1, "f", uint32(3)), packet(typeWrite, 2, "h", uint64(0), "data"), packet(typeClose, 3, "h")), packet(typeHandle, 1, "h"))
	f.Add(packet(typeExtended, 1, "posix-rename@openssh.com", "a", "b"), packet(typeStatus, 1, uint32(0)))
	f.Fuzz(func(t *testing.T, client, host []byte) {
		w := NewSftp(func(File) {}, func(string) {})
		for i := 0; i < max(len(client), len(host)); i += 3 {
			w.FromClient(client[min(i, len(client)):min(i+3, len(client))])
			w.FromHost(host[min(i, len(host)):min(i+3, len(host))])
		}
		if len(w.client.head) > maxKept+prefix || len(w.open) > maxFiles {
			t.Error("it holds too much")
		}
		w.End()
	})
}

func FuzzScp(f *testing.F) {
	f.Add([]byte("D0755 0 d\nC0644 1 f\nx\x00E\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		w := ForCommand("scp -t x", func(File) {}, func(string) {}).(*Scp)
		for part := range slices.Chunk(said, 5) {
			w.FromClient(part)
		}
		if len(w.line) > maxLine+5 {
			t.Error("it holds too much")
		}
		w.End()
	})
}

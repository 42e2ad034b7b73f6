package audit

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeJournal accepts entries as systemd's journal does.
type fakeJournal struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func startJournal(t *testing.T) *fakeJournal {
	t.Helper()
	dir, err := os.MkdirTemp("", "journal-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	j := &fakeJournal{t: t, path: filepath.Join(dir, "socket")}
	j.listen()
	return j
}

func (j *fakeJournal) listen() {
	j.t.Helper()
	os.Remove(j.path)
	var err error
	if j.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: j.path}); err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(func() { j.conn.Close() })
}

// next returns the fields of the next entry. It checks that those of a large entry
// come in a sealed file.
func (j *fakeJournal) next() map[string]string {
	j.t.Helper()
	j.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	data, oob := make([]byte, 1<<20), make([]byte, 100)
	n, oobn, _, _, err := j.conn.ReadMsgUnix(data, oob)
	if err != nil {
		j.t.Fatal(err)
	}
	if data = data[:n]; oobn > 0 {
		data = j.contentOf(oob[:oobn])
	}
	fields := map[string]string{}
	for len(data) > 0 {
		name, rest, _ := strings.Cut(string(data), "\n")
		size := binary.LittleEndian.Uint64([]byte(rest))
		fields[name] = rest[8 : 8+size]
		data = []byte(rest[8+size+1:])
	}
	return fields
}

func (j *fakeJournal) contentOf(oob []byte) []byte {
	j.t.Helper()
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		j.t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		j.t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "entry")
	defer file.Close()
	if seals, err := unix.FcntlInt(file.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&unix.F_SEAL_WRITE == 0 {
		j.t.Errorf("its file can be changed: %#x, %v", seals, err)
	}
	info, err := file.Stat()
	if err != nil {
		j.t.Fatal(err)
	}
	data := make([]byte, info.Size())
	if _, err := file.ReadAt(data, 0); err != nil {
		j.t.Fatal(err)
	}
	return data
}

// Each line is an entry, with fields to search for. The attack: a command with a line
// end, to end its field and add another one.
func TestEventsGoToTheJournal(t *testing.T) {
	j := startJournal(t)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := Open(Settings{Journal: j.path, File: file}, nil, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, command := range []string{"ls", "x\nBERTH_USER=root\nPRIORITY=0\n", strings.Repeat("long ", 200_000)} {
		if err := l.Write(Session{Who: Who{Conn: Conn{"ABC", "192.0.2.1:5"}, User: "dev", Host: "lab"}, Kind: "exec", Command: command}); err != nil {
			t.Fatal(err)
		}
		got := j.next()
		for name, want := range map[string]string{
			"PRIORITY": "6", "SYSLOG_FACILITY": "10", "SYSLOG_IDENTIFIER": "berth-audit",
			"BERTH_EVENT": "session", "BERTH_CONN": "ABC", "BERTH_REMOTE": "192.0.2.1:5", "BERTH_USER": "dev", "BERTH_HOST": "lab",
		} {
			if got[name] != want {
				t.Errorf("of %.20q: %s is %q, want %q", command, name, got[name], want)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil || len(got) != 9 || !strings.HasSuffix(string(text), got["MESSAGE"]+"\n") || strings.Contains(got["MESSAGE"], "\n") {
			t.Errorf("of %.20q: %d fields, and the message is not the file's last line: %v", command, len(got), err)
		}
	}
}

// Writing goes on after the journal was restarted. A journal that takes nothing, or
// is not there, blocks nobody, and what cannot be written is refused.
func TestAJournalThatTakesNothing(t *testing.T) {
	j := startJournal(t)
	l, err := Open(Settings{Journal: j.path}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	event := Refused{User: "dev", Why: "no"}
	j.conn.Close()
	j.listen()
	if err := l.Write(event); err != nil || j.next()["BERTH_EVENT"] != "refused" {
		t.Errorf("started again: %v", err)
	}
	began := time.Now()
	for err == nil && time.Since(began) < time.Minute { // until the journal's queue is full
		err = l.Write(event)
	}
	if !errors.Is(err, ErrNotWritten) {
		t.Errorf("stuck: %v", err)
	}
	j.conn.Close()
	if err := l.Write(event); !errors.Is(err, ErrNotWritten) {
		t.Errorf("gone: %v", err)
	}
	if _, err := Open(Settings{Journal: j.path}, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "systemd's journal does not answer") {
		t.Errorf("not there: %v", err)
	}
}

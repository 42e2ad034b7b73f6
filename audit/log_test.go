package audit

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

func open(t *testing.T, settings Settings) *Log {
	t.Helper()
	if settings.File == "" {
		settings.File = filepath.Join(t.TempDir(), "audit.jsonl")
	}
	l, err := Open(settings, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// lines returns the file's lines, each of which must be a JSON object.
func lines(t *testing.T, path string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range strings.Lines(string(text)) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, object)
	}
	return all
}

// The attack: run a command whose text ends the line and begins another one, or that
// controls the terminal of a person who reads the file.
func TestTextCannotForgeALineNorReachATerminal(t *testing.T) {
	l := open(t, Settings{})
	command := "a\n{\"event\":\"left\"}\x1b[2J\u009b\u202e\x7f\xff\u2028\U0001f600"
	if err := l.Write(Session{Who: Who{User: "dev"}, Kind: "exec", Command: command}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(l.settings.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range text[:len(text)-1] {
		if b < 0x20 || b >= 0x7f {
			t.Errorf("byte %#x in %q", b, text)
		}
	}
	got := lines(t, l.settings.File)
	if want := strings.ToValidUTF8(command, "\ufffd"); len(got) != 1 || got[0]["event"] != "session" || got[0]["command"] != want || got[0]["user"] != "dev" {
		t.Errorf("%+v", got)
	}
	if info, err := os.Stat(l.settings.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestTheFileIsRotatedBySize(t *testing.T) {
	l := open(t, Settings{MaxSize: 1000, Keep: 2})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				if err := l.Write(Refused{User: "dev", Why: "no"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	files, err := filepath.Glob(l.settings.File + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 1000 || len(lines(t, file)) == 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

// The attack: fill the disk, then act without being recorded.
func TestWhatCannotBeWrittenDoesNotHappenUnlessTheOwnerSaysSo(t *testing.T) {
	for _, goOn := range []bool{false, true} {
		l := open(t, Settings{GoOn: goOn})
		unwritable, err := os.Open(l.settings.File)
		if err != nil {
			t.Fatal(err)
		}
		whole := l.file
		l.file = unwritable
		if err := l.Write(Entered{}); (err == ErrNotWritten) == goOn || goOn && err != nil {
			t.Errorf("go on %v: %v", goOn, err)
		}
		l.file = whole
		if err := l.Write(Entered{}); err != nil || len(lines(t, l.settings.File)) != 1 {
			t.Errorf("when there is room again: %v", err)
		}
	}
}

// Programs that rotate or remove logs lose no event that is written afterwards:
// logrotate by renaming, logrotate by copying and truncating, rm. If the file cannot
// be created again, writing fails.
func TestTheFileIsTakenAwayByOthers(t *testing.T) {
	l := open(t, Settings{})
	path := l.settings.File
	for name, takeAway := range map[string]func() error{
		"renamed":   func() error { return os.Rename(path, path+"-20261127") },
		"removed":   func() error { return os.Remove(path) },
		"truncated": func() error { return os.Truncate(path, 0) },
	} {
		err := errors.Join(l.Write(Entered{}), takeAway(), l.Write(Left{}))
		if err != nil || len(lines(t, path)) != 1 || lines(t, path)[0]["event"] != "left" {
			t.Errorf("%s: %v, %v", name, err, lines(t, path))
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(Left{}); !errors.Is(err, ErrNotWritten) {
		t.Errorf("with its directory gone: %v", err)
	}
}

// A line that was cut, by a full disk or a loss of power, damages no other line.
func TestALineThatWasCutIsEndedFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(`{"time":"20`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, Settings{File: path}).Write(Left{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), `{"time":"20`+"\n"+`{"time":"`) {
		t.Errorf("%q, %v", text, err)
	}
}

func TestNoLogWritesNothing(t *testing.T) {
	var none *Log
	if err := none.Write(Left{}); err != nil || none.Close() != nil {
		t.Error(err)
	}
	if _, err := Open(Settings{File: t.TempDir()}, nil, slog.Default()); err == nil {
		t.Error("a directory is taken")
	}
}

// docs/audit.md is the schema: it must name every event and every field.
func TestTheSchemaIsDocumented(t *testing.T) {
	page := harness.Read(t, "../docs/audit.md")
	all := []Event{
		LoginTried{}, LoggedIn{}, Refused{}, Entered{}, Session{}, SessionEnded{}, File{}, FilesLost{}, Signal{}, Forward{}, Listener{}, Lent{},
		Used{}, ForwardEnded{}, Left{}, Changed{}, FrontSuspected{}, FrontEnded{},
	}
	if written := strings.Count(harness.Read(t, "events.go"), ") name() string "); written != len(all) {
		t.Errorf("there are %d events, and %d are looked at here", written, len(all))
	}
	for _, event := range all {
		_, row, found := strings.Cut(page, "\n| `"+event.name()+"` |")
		row, _, _ = strings.Cut(row, "\n")
		if !found {
			t.Errorf("docs/audit.md lacks %s", event.name())
			continue
		}
		for _, field := range fieldsOf(reflect.TypeOf(event)) {
			if !strings.Contains(row, "`"+field+"`") {
				t.Errorf("docs/audit.md: %s lacks %s", event.name(), field)
			}
		}
	}
}

// fieldsOf returns the fields of an event without those of every connection, and
// those of the lists in it.
func fieldsOf(kind reflect.Type) (names []string) {
	for i := range kind.NumField() {
		field := kind.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		inner := field.Type
		if inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[Conn]() {
			names = append(names, fieldsOf(inner)...)
		}
		if !field.Anonymous {
			names = append(names, name)
		}
	}
	return names
}

// Events that another process writes give the same file.
func TestEventsAreWrittenElsewhereAsHere(t *testing.T) {
	status := uint32(3)
	who := Who{Conn{"c", "192.0.2.1:1"}, "dev", "lab"}
	events := []Event{
		LoginTried{who.Conn, "dev", "password"}, LoggedIn{Conn: who.Conn, User: "dev", Steps: []Step{{"publickey", "SHA256:x", "", &Certificate{"a", 7, "b"}}}, Seconds: 1.5},
		Refused{who.Conn, "dev", "no"}, Entered{Who: who, Account: "a", Route: "exec"}, Session{Who: who, Session: 1, Command: "\x1b<&>", Pty: true},
		SessionEnded{Who: who, Exit: &status, Up: 1 << 60}, File{Who: who, Path: "/é"}, FilesLost{Who: who, Why: "w"}, Signal{who, 1, "TERM"},
		Forward{who, 1, "x:1"}, Used{Who: who, What: "agent"}, ForwardEnded{Who: who, Why: "w"}, Listener{who, ":1"}, Lent{who, 1, "x11"}, Left{Who: who},
	}
	direct, through := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	here, err := Open(Settings{File: direct}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	there, err := Open(Settings{File: through}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	here.now = func() time.Time { return time.Unix(0, 0) }
	there.now = here.now
	elsewhere := Elsewhere(func(name string, fields json.RawMessage) error {
		event, err := Parse(name, fields)
		if err != nil {
			return err
		}
		return there.Write(event)
	})
	for _, event := range events {
		if err := errors.Join(here.Write(event), elsewhere.Write(event)); err != nil {
			t.Error(event.name(), err)
		}
	}
	want, _ := os.ReadFile(direct)
	got, err := os.ReadFile(through)
	if string(got) != string(want) || err != nil || strings.Count(string(got), "\n") != len(events) {
		t.Errorf("elsewhere:\n%s\nhere:\n%s\n%v", got, want, err)
	}
	ofTheKeeper := []Event{Changed{By: "watch"}, FrontSuspected{"w"}, FrontEnded{"w"}}
	for _, event := range ofTheKeeper {
		if err := elsewhere.Write(event); err == nil {
			t.Errorf("a front writes %s", event.name())
		}
	}
	source, err := os.ReadFile("events.go")
	if kinds := strings.Count(string(source), ") name() string"); kinds != len(events)+len(ofTheKeeper) || err != nil {
		t.Errorf("there are %d kinds of events, and %d are tried here: %v", kinds, len(events), err)
	}
	if _, err := Parse("dance", json.RawMessage("{}")); err == nil {
		t.Error("an event that there is not was read")
	}
}

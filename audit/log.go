// Package audit writes down who came and what was done: one line of JSON for each
// [Event], in a file of its own. docs/audit.md has the schema.
//
// Everything that a person or a client chose is quoted, and only ASCII is
// written, so that no text can end a line, or do something to the terminal of
// whoever reads the file.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/berth-ssh/berth/printable"
)

// Settings are where and how to write.
type Settings struct {
	File    string
	Journal string // the socket of systemd's journal, where each line is written, too; "": nowhere
	MaxSize int64  // bytes, after which the file is rotated; 0: 64 MiB
	Keep    int    // how many rotated files are kept, as FILE.1 and so on; 0: ten

	// GoOn says that people may go on where nothing can be written. Otherwise
	// what cannot be written down is refused.
	GoOn bool
}

const (
	defaultMaxSize = 64 << 20
	defaultKeep    = 10
)

// Log is the file. It is safe for use by many at once. A nil *Log writes nothing.
type Log struct {
	settings  Settings
	also      func(Event)
	elsewhere func(name string, fields json.RawMessage) error // nil: it is written here
	warn      *slog.Logger
	now       func() time.Time

	mu      sync.Mutex
	file    *os.File // nil where there is none
	size    int64
	torn    bool     // the last line may have been cut by an error
	journal *journal // nil where there is none
}

// ErrNotWritten says that an event could not be written, and that therefore what
// it tells of must not happen.
var ErrNotWritten = errors.New("it could not be written to the audit file, without which nothing may happen here; ask the box's owner")

// Open opens the file to write on, or makes it with mode 0600, and reaches the journal. Failures to write
// are told to warn. Also, if it is not nil, is told each event that was written, or
// each where there is no file; it is called by one at a time and must not block.
func Open(settings Settings, also func(Event), warn *slog.Logger) (*Log, error) {
	if settings.File == "" && settings.Journal == "" && also == nil {
		return nil, nil
	}
	if settings.MaxSize == 0 {
		settings.MaxSize = defaultMaxSize
	}
	if settings.Keep == 0 {
		settings.Keep = defaultKeep
	}
	l := &Log{settings: settings, also: also, warn: warn, now: time.Now}
	if err := l.openSinks(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return l, nil
}

// openSinks opens what is written to.
func (l *Log) openSinks() (err error) {
	if l.settings.Journal != "" {
		if l.journal, err = openJournal(l.settings.Journal); err != nil {
			return err
		}
	}
	if l.settings.File != "" {
		err = l.open()
	}
	if err != nil && l.journal != nil {
		l.journal.close()
	}
	return err
}

// Elsewhere is a log that another process writes. Write is given the name and the fields
// of each event (see [Parse]), and says whether it was written.
func Elsewhere(write func(name string, fields json.RawMessage) error) *Log {
	return &Log{elsewhere: write}
}

// Close closes the file.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.journal != nil {
		l.journal.close()
	}
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// Write writes an event. The error is [ErrNotWritten], and nil if people may go
// on without.
func (l *Log) Write(event Event) error {
	if l == nil {
		return nil
	}
	if l.elsewhere != nil {
		fields, err := json.Marshal(event)
		if err != nil {
			return ErrNotWritten
		}
		return l.elsewhere(event.name(), fields)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil || l.journal != nil {
		if err := l.write(event); err != nil {
			l.warn.Error("audit file not written", "file", l.settings.File, "event", event.name(), "err", err)
			if !l.settings.GoOn {
				return ErrNotWritten
			}
		}
	}
	if l.also != nil {
		l.also(event)
	}
	return nil
}

func (l *Log) write(event Event) error {
	line, err := l.lineOf(event)
	if err != nil {
		return err
	}
	if l.journal != nil {
		if err = l.journal.write(line); err != nil {
			err = fmt.Errorf("systemd's journal: %w", err)
		}
	}
	if l.file == nil {
		return err
	}
	return errors.Join(err, l.writeFile(line))
}

func (l *Log) writeFile(line []byte) error {
	if l.isRotated() {
		if err := l.reopen(); err != nil {
			return err
		}
	}
	if l.size > 0 && l.size+int64(len(line)) > l.settings.MaxSize {
		if err := l.rotate(); err != nil { // a file that is too large is better than none
			l.warn.Warn("audit file not rotated", "file", l.settings.File, "err", err)
		}
	}
	if l.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	l.torn = err != nil && (n > 0 || l.torn)
	return err
}

// lineOf is the event as one line: its time and name, then its fields.
func (l *Log) lineOf(event Event) ([]byte, error) {
	head, err := json.Marshal(struct {
		Time  string `json:"time"`
		Event string `json:"event"`
	}{l.now().UTC().Format("2006-01-02T15:04:05.000Z"), event.name()})
	if err != nil {
		return nil, err
	}
	fields, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	line := append(head[:len(head)-1], ',')
	return append(printable.ASCII(append(line, fields[1:]...)), '\n'), nil
}

func (l *Log) open() error {
	file, err := os.OpenFile(l.settings.File, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", l.settings.File)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.size, l.torn = file, info.Size(), info.Size() > 0 && !endsLine(l.settings.File, info.Size())
	return nil
}

// endsLine reports whether a file's last line is whole; a loss of power can
// leave one that is not.
func endsLine(path string, size int64) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	last := make([]byte, 1)
	_, err = file.ReadAt(last, size-1)
	return err == nil && last[0] == '\n'
}

// rotate renames FILE to FILE.1, that to FILE.2 and so on, and begins a new FILE. Where
// that fails, the open file is still the one to write to. Where another gateway does
// so at the same time, it goes on with that one's FILE.
func (l *Log) rotate() error {
	for i := l.settings.Keep - 1; i >= 0 && !l.isRotated(); i-- {
		err := os.Rename(l.rotated(i), l.rotated(i+1))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return l.reopen()
}

// reopen goes on with the file that is at the path now, or begins it.
func (l *Log) reopen() error {
	former := l.file
	if err := l.open(); err != nil {
		return err
	}
	return former.Close()
}

// isRotated reports whether FILE is no more the one that is open: another gateway has
// rotated it, as after an upgrade, or another program, or somebody has removed it.
func (l *Log) isRotated() bool {
	own, err := l.file.Stat()
	is, err2 := os.Stat(l.settings.File)
	return err == nil && (errors.Is(err2, fs.ErrNotExist) || err2 == nil && !os.SameFile(own, is))
}

func (l *Log) rotated(i int) string {
	if i == 0 {
		return l.settings.File
	}
	return fmt.Sprintf("%s.%d", l.settings.File, i)
}

// Package audit records who came and what was done, as one line of JSON for each
// [Event] in a file. docs/audit.md has the schema.
//
// Everything that a person or a client has chosen is quoted, and only ASCII is
// written, so that no text can end a line or control the terminal of a person who
// reads the file.
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

// Settings say where and how to write.
type Settings struct {
	File    string
	Journal string // the socket of systemd's journal, where each line is written, too; "": nowhere
	MaxSize int64  // in bytes; a larger file is rotated; 0: 64 MiB
	Keep    int    // how many rotated files are kept, as FILE.1 and so on; 0: ten

	// GoOn lets people go on when nothing can be written. Otherwise what cannot be
	// written is refused.
	GoOn bool
}

const (
	defaultMaxSize = 64 << 20
	defaultKeep    = 10
)

// Log is the audit file. It is safe for concurrent use. A nil *Log writes nothing.
type Log struct {
	settings  Settings
	also      func(Event)
	elsewhere func(name string, fields json.RawMessage) error // writes in another process; nil: this one does
	warn      *slog.Logger
	now       func() time.Time

	mu      sync.Mutex
	file    *os.File // nil for none
	size    int64
	torn    bool     // the last line may have been cut by an error
	journal *journal // nil for none
}

// ErrNotWritten says that an event could not be written, and that what it reports
// must therefore be refused.
var ErrNotWritten = errors.New("it could not be written to the audit file, without which nothing may happen here; ask the box's owner")

// Open opens the file, or creates it with mode 0600, and connects to the journal. It
// returns nil if there is nothing to write to. Failed writes are logged to warn. If
// also is not nil, it is called with each event that was written (with every event if
// there is no file and no journal), never concurrently; it must not block.
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

// openSinks opens the journal and the file.
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

// Elsewhere returns a log that another process writes. write gets the name and the
// fields of each event (see [Parse]); its error is that of Write.
func Elsewhere(write func(name string, fields json.RawMessage) error) *Log {
	return &Log{elsewhere: write}
}

// Close closes the file and the journal.
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

// Write writes an event. If that fails, the error is [ErrNotWritten], or nil if
// people may go on without it.
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
		if err := l.rotate(); err != nil { // still write: a file that is too large is better than none
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

// lineOf returns the event as one line: time and name, then the event's fields.
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

// endsLine reports whether a file's last line has its end. A loss of power can leave
// one without.
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

// rotate renames FILE to FILE.1, FILE.1 to FILE.2 and so on, and opens a new FILE. If
// that fails, writing goes on to the open file. If another gateway rotates at the
// same time, this one opens the other's FILE.
func (l *Log) rotate() error {
	for i := l.settings.Keep - 1; i >= 0 && !l.isRotated(); i-- {
		err := os.Rename(l.rotated(i), l.rotated(i+1))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return l.reopen()
}

// reopen opens the file that is at the path now, or creates it, and closes the former
// one.
func (l *Log) reopen() error {
	former := l.file
	if err := l.open(); err != nil {
		return err
	}
	return former.Close()
}

// isRotated reports whether the file at the path is no longer the open one: another
// gateway (after an upgrade) or another program has rotated it, or somebody has
// removed it.
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

package recording

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// Session describes the session that is recorded.
type Session struct {
	Conn, Person, Host string // id of the connection, and names
	Number             int    // of the session within its connection
	Began              time.Time
	Term               string // type of the terminal, as the client gave it
	Columns, Rows      uint32
	Command            string // "" for a shell
}

// header is the first line of an asciicast.
type header struct {
	Version   int               `json:"version"`
	Width     uint32            `json:"width"`
	Height    uint32            `json:"height"`
	Timestamp int64             `json:"timestamp"`
	Title     string            `json:"title"`
	Command   string            `json:"command,omitempty"`
	Env       map[string]string `json:"env"`
}

// flushEvery is how much of a recording, in time, may be lost when the gateway is
// killed.
const flushEvery = time.Second

// Recording is a recording that is being made. It is safe for concurrent use.
type Recording struct {
	session Session
	file    *os.File
	how     How
	share   *share

	mu      sync.Mutex
	zipped  *gzip.Writer
	to      *bufio.Writer
	rest    []byte // first bytes of a character whose other bytes have not come yet
	pending bool   // flushPending will be called
	failed  bool
	closed  bool
}

// How says how a recording is made.
type How struct {
	GoOn bool  // sessions go on when nothing can be written
	Room *Room // that it shares with others; nil: any
	Log  *slog.Logger
}

// Begin begins a recording in a file of [Store.Create], which it takes over.
func Begin(file *os.File, session Session, how How) (*Recording, error) {
	share := how.Room.enter()
	zipped := gzip.NewWriter(counted{file, share})
	r := &Recording{session: session, file: file, how: how, share: share, zipped: zipped, to: bufio.NewWriter(zipped)}
	return r, r.begin()
}

func (r *Recording) begin() error {
	s := r.session
	line, err := json.Marshal(header{
		Version: 2, Width: max(s.Columns, 1), Height: max(s.Rows, 1), Timestamp: s.Began.Unix(),
		Title: s.Person + " on " + s.Host + ", connection " + s.Conn, Command: s.Command, Env: map[string]string{"TERM": s.Term},
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.to, "%s\n", line)
	if err := errors.Join(err, r.flush()); err != nil {
		r.file.Close()
		r.share.leave()
		return err
	}
	return nil
}

// Output records output of the terminal. If that fails, the error is
// [ErrNotRecorded], or nil if sessions may go on without a recording.
func (r *Recording) Output(data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	data = append(r.rest, data...)
	whole := len(data) - partial(data)
	r.rest = append([]byte(nil), data[whole:]...)
	if whole == 0 {
		return nil
	}
	return r.event("o", string(data[:whole])) // what is no UTF-8 becomes U+FFFD
}

// partial returns how many bytes at the end of data are the beginning of an
// incomplete character.
func partial(data []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		last := data[len(data)-n:]
		if utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// Resize records a new size of the terminal.
func (r *Recording) Resize(columns, rows uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.event("r", fmt.Sprintf("%dx%d", columns, rows))
}

func (r *Recording) event(kind, data string) error {
	switch {
	case r.closed:
		return nil
	case r.share.isOver():
		return r.verdict(errNoRoom)
	}
	line, err := json.Marshal([]any{time.Since(r.session.Began).Seconds(), kind, data})
	if err == nil {
		_, err = fmt.Fprintf(r.to, "%s\n", line)
	}
	if !r.pending {
		r.pending = true
		time.AfterFunc(flushEvery, r.flushPending)
	}
	return r.verdict(err)
}

// flushPending flushes what was recorded, even if nothing follows.
func (r *Recording) flushPending() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = false
	if !r.closed {
		r.verdict(r.flush())
	}
}

// verdict returns the error for the caller of Output, and logs the first one.
func (r *Recording) verdict(err error) error {
	if err != nil && !r.failed {
		r.failed = true
		r.how.Log.Error("recording not written", "conn", r.session.Conn, "session", r.session.Number, "err", err)
	}
	if r.failed && !r.how.GoOn {
		return ErrNotRecorded
	}
	return nil
}

func (r *Recording) flush() error { return errors.Join(r.to.Flush(), r.zipped.Flush()) }

// Close ends the recording.
func (r *Recording) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if len(r.rest) > 0 {
		r.event("o", string(r.rest))
	}
	r.closed = true
	r.verdict(errors.Join(r.to.Flush(), r.zipped.Close(), r.file.Close()))
	r.share.leave()
}

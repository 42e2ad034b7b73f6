package logqueue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reader is who reads a log, or does not.
type reader struct {
	mu    sync.Mutex
	reads *sync.Cond
	stuck bool
	gone  error
	got   bytes.Buffer
}

func newReader() *reader {
	r := &reader{}
	r.reads = sync.NewCond(&r.mu)
	return r
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.stuck {
		r.reads.Wait()
	}
	if r.gone != nil {
		return 0, r.gone
	}
	return r.got.Write(p)
}

func (r *reader) set(stuck bool, gone error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck, r.gone = stuck, gone
	r.reads.Broadcast()
}

func (r *reader) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.String()
}

// The attack: stderr is a pipe that nobody reads. 600 failed logins filled it,
// and then nobody could log in and SIGTERM did not end the gateway.
func TestALogThatNobodyReadsStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		r.set(true, nil)
		q := New(r)
		line := strings.Repeat("x", 1023) + "\n"
		const more = 100
		for range maxQueued/len(line) + more {
			if n, err := io.WriteString(q, line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait()
		}
		r.set(false, nil)
		synctest.Wait()
		got := r.String()
		if lines := strings.Count(got, line); lines < maxQueued/len(line) || lines > maxQueued/len(line)+1 {
			t.Errorf("%d lines", lines)
		}
		if !strings.Contains(got, "level=WARN") || !strings.Contains(got, fmt.Sprintf(" lines=%d\n", more-1)) {
			t.Errorf("does not tell what was lost: %.300s", got)
		}
		q.Close(time.Second)
	})
}

func TestClosingALogThatNobodyReadsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		r.set(true, nil)
		q := New(r)
		io.WriteString(q, "never read\n")
		began := time.Now()
		q.Close(time.Second)
		if took := time.Since(began); took != time.Second {
			t.Errorf("after %v", took)
		}
		r.set(false, nil)
	})
}

// A reader that is gone, or a disk that is full, ends nothing, and what was lost
// is told to the one that comes back.
func TestAReaderThatIsGoneEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		q := New(r)
		io.WriteString(q, "first\n")
		synctest.Wait()
		r.set(false, errors.New("broken pipe"))
		for range 3 {
			io.WriteString(q, "lost\n")
			synctest.Wait()
		}
		r.set(false, nil)
		io.WriteString(q, "last\n")
		q.Close(time.Second)
		got := strings.Split(strings.TrimSuffix(r.String(), "\n"), "\n")
		if len(got) != 3 || got[0] != "first" || !strings.HasSuffix(got[1], " lines=3") || got[2] != "last" {
			t.Errorf("got %q", got)
		}
	})
}

// The attack: strangers write the log full, so that what matters scrolls away.
func TestStrangersCannotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newReader()
		all := slog.New(slog.NewTextHandler(out, nil))
		strangers := slog.New(Limit(all.Handler(), "strangers"))
		for i := range 1000 {
			strangers.With("conn", i).WithGroup("g").Info("attempt failed")
			all.Info("entered")
		}
		if failed, entered := strings.Count(out.String(), "attempt failed"), strings.Count(out.String(), "entered"); failed != burst || entered != 1000 {
			t.Errorf("%d of strangers, %d others", failed, entered)
		}
		time.Sleep(tellEvery + time.Second)
		if want := "whose=strangers lines=800\n"; !strings.HasSuffix(out.String(), want) {
			t.Errorf("does not tell what was left out: %s", out.String()[max(0, len(out.String())-200):])
		}
		before := len(out.String())
		for range 1000 {
			strangers.Info("attempt failed")
		}
		if failed, want := strings.Count(out.String()[before:], "attempt failed"), int((tellEvery+time.Second)/lineEvery); failed != want {
			t.Errorf("%d more after 11 s, want %d", failed, want)
		}
		time.Sleep(tellEvery + time.Second)
	})
}

package recording

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func store(t *testing.T, settings Settings) *Store {
	t.Helper()
	settings.Dir = filepath.Join(t.TempDir(), "recordings")
	s, err := Open(settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func start(t *testing.T, s *Store, number int) *Recording {
	t.Helper()
	r, err := s.Start(Session{Conn: "C", Person: "anna", Host: "master", Number: number, Began: time.Now(), Term: "xterm\x1b", Columns: 80, Rows: 24})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func played(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out bytes.Buffer
	if err := Replay(t.Context(), file, &out, 1000, time.Millisecond); err != nil {
		t.Error(err)
	}
	return out.String()
}

func TestWhatIsShownIsRecorded(t *testing.T) {
	s := store(t, Settings{})
	r := start(t, s, 1)
	long := strings.Repeat("0123456789", 10_000)
	for _, part := range []string{"hello \xe2\x82", "\xac\r\n", "\x1b[31mred\xff", long, "end\xc3"} { // a character in two parts, a byte that is none
		if err := r.Output([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	r.Resize(100, 30)
	kept, err := List(s.settings.Dir)
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	if info, _ := os.Stat(kept[0].Path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	r.Close()
	r.Close()
	want := "hello €\r\n\x1b[31mred\ufffd" + long + "end\ufffd"
	if got := played(t, kept[0].Path); got != want {
		t.Errorf("played %d bytes, want %d", len(got), len(want))
	}
	file, _ := os.Open(kept[0].Path)
	defer file.Close()
	var cast bytes.Buffer
	if err := Cat(file, &cast); err != nil || !strings.HasPrefix(cast.String(), `{"version":2,"width":80,"height":24,`) || !strings.Contains(cast.String(), `"r","100x30"]`) {
		t.Errorf("%v: %.200s", err, cast.String())
	}
}

// When a gateway is killed, its recordings have everything that was shown up to a
// second before, also if nothing was shown since.
func TestARecordingThatIsCutIsPlayedAsFarAsItGoes(t *testing.T) {
	s := store(t, Settings{})
	synctest.Test(t, func(t *testing.T) {
		r := start(t, s, 1)
		r.Output([]byte("until"))
		r.Output([]byte(" here"))
		time.Sleep(flushEvery)
		synctest.Wait()
		kept, _ := List(s.settings.Dir)
		if got := played(t, kept[0].Path); got != "until here" {
			t.Errorf("played %q", got)
		}
		r.Close()
	})
}

// A file that is cut at any byte is replayed up to that point.
func TestARecordingIsCutAnywhere(t *testing.T) {
	s := store(t, Settings{})
	r := start(t, s, 1)
	for i := range 20 {
		r.Output(fmt.Appendf(nil, "line %d\r\n", i))
	}
	r.Close()
	whole, path := played(t, r.file.Name()), r.file.Name()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := info.Size(); size >= 0; size-- {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		file, _ := os.Open(path)
		var out bytes.Buffer
		err := Replay(t.Context(), file, &out, 1000, 0)
		file.Close()
		if !strings.HasPrefix(whole, out.String()) || err != nil && out.Len() > 0 {
			t.Fatalf("of %d bytes %d: played %q, %v", info.Size(), size, out.String(), err)
		}
	}
}

func TestOldRecordingsGo(t *testing.T) {
	s := store(t, Settings{Keep: time.Hour, MaxSize: 2000})
	old := func(number int, age time.Duration) string {
		r := start(t, s, number)
		r.Close()
		at := time.Now().Add(-age)
		if err := errors.Join(os.Truncate(r.file.Name(), 900), os.Chtimes(r.file.Name(), at, at)); err != nil {
			t.Fatal(err)
		}
		return r.file.Name()
	}
	tooOld, oldest, next, last := old(1, 2*time.Hour), old(2, 30*time.Minute), old(3, 20*time.Minute), old(4, time.Minute)
	running := start(t, s, 5)
	defer running.Close()
	past := time.Now().Add(-3 * time.Hour)
	os.Chtimes(running.file.Name(), past, past)
	another, err := Open(s.settings, s.log) // as the gateway does that takes over
	if err != nil {
		t.Fatal(err)
	}
	another.sweep()
	another.Close()
	for path, want := range map[string]bool{tooOld: false, oldest: false, next: true, last: true, running.file.Name(): true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", filepath.Base(path), err, want)
		}
	}
}

// Old recordings, and the directory of a day that is then empty, may be removed at
// any moment while another recording begins.
func TestARecordingThatBeginsIsNoOldOne(t *testing.T) {
	s := store(t, Settings{Keep: time.Nanosecond})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for ; ; s.sweep() {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for number := range 1000 {
		file, err := s.Create(Session{Conn: "C", Person: "anna", Host: "master", Number: number, Began: time.Now()})
		if err != nil {
			t.Errorf("recording %d: %v", number, err)
			break
		}
		if _, err := os.Stat(file.Name()); err != nil {
			t.Errorf("recording %d: %v", number, err)
		}
		file.Write([]byte("x"))
		file.Close()
	}
	close(stop)
	<-stopped
}

// While a gateway runs, recordings that become too old are removed.
func TestARecordingGoesWhenItsTimeIsOver(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Settings{Dir: filepath.Join(dir, "recordings"), Keep: time.Hour}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := start(t, s, 1)
		r.Close()
		now := time.Now() // the bubble's time; the file has the real one
		if err := os.Chtimes(r.file.Name(), now, now); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{1, 0} {
			time.Sleep(time.Hour - sweepEvery/2)
			synctest.Wait()
			if kept, err := List(s.settings.Dir); err != nil || len(kept) != want {
				t.Errorf("after %v: %v, %v", time.Since(now), kept, err)
			}
		}
	})
}

// What cannot be recorded is refused, unless the owner allows it.
func TestWhatCannotBeRecordedIsRefused(t *testing.T) {
	for _, goOn := range []bool{false, true} {
		s := store(t, Settings{GoOn: goOn})
		running := start(t, s, 1)
		running.file.Close() // as if the disk failed
		running.Output([]byte("x"))
		running.flushPending()
		if err := running.Output([]byte("x")); (err == nil) != goOn {
			t.Errorf("go on %v: a write: %v", goOn, err)
		}
		os.RemoveAll(s.settings.Dir)
		os.WriteFile(s.settings.Dir, nil, 0o600)
		if r, err := s.Start(Session{Began: time.Now()}); r != nil || (err == nil) != goOn {
			t.Errorf("go on %v: a start: %v", goOn, err)
		}
	}
}

func TestHostsAreChosen(t *testing.T) {
	s := store(t, Settings{Hosts: []string{"master", "gpu-*"}})
	for host, want := range map[string]bool{"master": true, "gpu-1": true, "worker": false} {
		if s.Wants(host, false) != want {
			t.Errorf("%s: want %v", host, want)
		}
	}
	if !s.Wants("worker", true) || (*Store)(nil).Wants("master", true) {
		t.Error("a grant decides where there is a store")
	}
}

// The attack: somebody fills the disk in one session, whose recording nothing removes while it
// is made. Its session ends, or goes on without, and the owner is told; what others do is
// recorded as before.
func TestAttackByASessionThatFillsTheDisk(t *testing.T) {
	for _, goOn := range []bool{false, true} {
		const size = 4 << 20
		var log bytes.Buffer
		s := store(t, Settings{MaxSize: size, GoOn: goOn})
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		flood, quiet := start(t, s, 1), start(t, s, 2)
		quiet.Output(noise(10 << 10))
		var err error
		for range 3 * size / (64 << 10) {
			if err = flood.Output(noise(64 << 10)); err != nil {
				break
			}
		}
		if (err == nil) != goOn {
			t.Errorf("go on %v: the flood: %v", goOn, err)
		}
		if said := log.String(); strings.Count(said, "recording not written") != 1 || !strings.Contains(said, "larger than record.max_size") || !strings.Contains(said, "session=1") {
			t.Errorf("go on %v: the owner is told: %q", goOn, said)
		}
		flood.Close()
		if info, err := os.Stat(flood.file.Name()); err != nil || info.Size() > size+size/8 {
			t.Errorf("go on %v: %v, %v bytes of %d", goOn, err, info.Size(), size)
		}
		if err := quiet.Output([]byte("still")); err != nil {
			t.Errorf("go on %v: the other one: %v", goOn, err)
		}
		quiet.Close()
		if shown := played(t, quiet.file.Name()); !strings.HasSuffix(shown, "still") {
			t.Error("the other one is not whole")
		}
		again := start(t, s, 3)
		if err := again.Output(noise(2 * leastRoom)); err != nil || again.share.isOver() {
			t.Errorf("go on %v: once there is room again: %v", goOn, err)
		}
		again.Close()
	}
}

// noise is output that no compression makes smaller than three quarters.
func noise(size int) []byte {
	raw := make([]byte, size*3/4)
	rand.Read(raw)
	return []byte(base64.StdEncoding.EncodeToString(raw))
}

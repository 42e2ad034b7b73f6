package keysource

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

func newKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestSplit(t *testing.T) {
	for line, want := range map[string]string{
		"gh:alice":                            "|https://github.com/alice.keys",
		" restrict,pty gl:bob_b.c ":           "restrict,pty|https://gitlab.com/bob_b.c.keys",
		`command="a b" https://x.org/k?u=1`:   `command="a b"|https://x.org/k?u=1`,
		"ssh-ed25519 AAAA gha:x":              "no",
		"ssh-ed25519 AAAA":                    "no",
		"gh:":                                 "wrong",
		"gh:a/../../b":                        "wrong",
		"gl:-a":                               "wrong",
		"http://x.org/k":                      "wrong",
		"https://user:secret@x.org/k":         "wrong",
		"https://":                            "wrong",
		"https://x.org/k#f":                   "wrong",
		"ssh-ed25519 AAAA https://x.org/keys": "ssh-ed25519 AAAA|https://x.org/keys", // the options are wrong then
	} {
		options, source, isOne, err := Split(line)
		got := options + "|" + source.URL
		switch {
		case err != nil:
			got = "wrong"
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("quotes a secret: %v", err)
			}
		case !isOne:
			got = "no"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

// server answers as it is told.
type server struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter)
	asked  int
}

func (s *server) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	s.answer(w)
}

func (s *server) set(answer func(w http.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func saying(text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { fmt.Fprint(w, text) }
}

// fetchedFrom is a fetcher of a server whose certificate is trusted.
func fetchedFrom(t *testing.T, s *server) (f *Fetcher, source Source, log *strings.Builder) {
	t.Helper()
	listening := httptest.NewTLSServer(s)
	t.Cleanup(listening.Close)
	trusted := http.DefaultTransport
	http.DefaultTransport = listening.Client().Transport
	t.Cleanup(func() { http.DefaultTransport = trusted })
	log = &strings.Builder{}
	f = &Fetcher{Cache: In(t.TempDir()), Log: slog.New(slog.NewTextHandler(log, nil)), Changed: func(Source) {}}
	f.poke()
	return f, Source{"alice", listening.URL + "/alice"}, log
}

// What a source says is kept; what it does not say, or what is no answer, changes
// nothing.
func TestWhatIsKept(t *testing.T) {
	one, two := newKey(t), newKey(t)
	s := &server{}
	f, source, log := fetchedFrom(t, s)
	changed := 0
	f.Changed = func(Source) { changed++ }
	if _, err := f.Cache.Keys(source); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name   string
		answer func(http.ResponseWriter)
		keys   []string
		logged string
	}{
		{"at first no answer", func(w http.ResponseWriter) { w.WriteHeader(500) }, nil, "none are kept"},
		{"one key", saying(one + " alice@laptop\n"), []string{one}, "keys fetched"},
		{"the same", saying("# alice\n" + one + "\n" + one + "\n"), []string{one}, ""},
		{"two in another order", saying(two + "\n" + one), sorted(one, two), "added=" + fingerprint(t, two)},
		{"the other order", saying(one + "\n" + two), sorted(one, two), ""},
		{"an error", func(w http.ResponseWriter) { w.WriteHeader(503) }, sorted(one, two), "those that are kept go on"},
		{"the same error", func(w http.ResponseWriter) { w.WriteHeader(503) }, sorted(one, two), ""},
		{"another page", saying("<html>log in to the hotel's network</html>"), sorted(one, two), ""},
		{"too much", saying(strings.Repeat(one+"\n", 5000)), sorted(one, two), ""},
		{"cut", func(w http.ResponseWriter) { w.Header().Set("Content-Length", "1000"); fmt.Fprint(w, one) }, sorted(one, two), ""},
		{"led to http", func(w http.ResponseWriter) { w.Header().Set("Location", "http://127.0.0.1/"); w.WriteHeader(302) }, sorted(one, two), ""},
		{"an option before a key", saying("cert-authority " + one + "\n" + two), []string{two}, "removed=" + fingerprint(t, one)},
		{"nobody of this name", func(w http.ResponseWriter) { w.WriteHeader(404) }, []string{}, "removed=" + fingerprint(t, two)},
		{"one key again", saying(one), []string{one}, "added="},
		{"no key any more", saying("\n"), []string{}, "removed="},
	} {
		s.set(step.answer)
		log.Reset()
		before := changed
		f.refresh(t.Context(), source)
		kept, err := f.Cache.Keys(source)
		if step.keys != nil && (err != nil || !slices.Equal(kept.Keys, step.keys)) {
			t.Errorf("%s: %v, %v", step.name, kept.Keys, err)
		}
		if (step.logged == "") != (log.Len() == 0) || !strings.Contains(log.String(), step.logged) {
			t.Errorf("%s: logged %s", step.name, log)
		}
		if (changed > before) != strings.Contains(log.String(), "keys fetched") {
			t.Errorf("%s: told of %d changes", step.name, changed-before)
		}
	}
	files, err := filepath.Glob(filepath.Join(f.Cache.dir, "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

func sorted(lines ...string) []string { slices.Sort(lines); return lines }

func fingerprint(t *testing.T, line string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(key)
}

// The attack: a source that answers something else each time, and whose change leads
// to a reload, which asks again.
func TestASourceIsNotAskedWithoutEnd(t *testing.T) {
	s := &server{answer: func(w http.ResponseWriter) { fmt.Fprintln(w, newKey(t)) }}
	f, source, _ := fetchedFrom(t, s)
	f.Every = time.Hour
	changed := make(chan struct{}, 100)
	f.Changed = func(source Source) {
		f.Want([]Source{source})
		changed <- struct{}{}
	}
	f.Want([]Source{source})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	<-changed
	harness.Eventually(t, "the poke of the change is taken", func() bool { return len(f.poked) == 0 })
	cancel()
	<-done
	if s.asked != 1 {
		t.Errorf("asked %d times", s.asked)
	}
}

// A file of another source, or of another version, is not taken for this one's.
func TestAFileThatIsNotTheSources(t *testing.T) {
	c := In(t.TempDir())
	source := Source{"a", "https://a/"}
	if err := c.keep(Source{"b", "https://b/"}, []string{"x"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{"version":1,"url":"https://b/","keys":["x"]}`, `{"version":2,"url":"https://a/"}`, `{`} {
		harness.Write(t, c.File(source), 0o600, text)
		if kept, err := c.Keys(source); err == nil || kept.Keys != nil {
			t.Errorf("%s: %+v", text, kept)
		}
	}
}

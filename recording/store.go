// Package recording keeps what terminals showed: for each session at a terminal one
// file in the format asciicast v2 (docs.asciinema.org), compressed by gzip.
//
// Only output is recorded: what people type is in it where it is echoed, and so no
// password is. The files are private (0600, in a directory of 0700); old ones are
// removed by age, and the oldest where all together are too large.
package recording

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Settings are where and what to record.
type Settings struct {
	Dir     string
	Hosts   []string      // names and patterns (path.Match); those of grants come on top
	Keep    time.Duration // how long; 0: for ever
	MaxSize int64         // bytes of all; 0: any
	GoOn    bool          // sessions go on that cannot be recorded; otherwise they are refused
}

// ErrNotRecorded says that a session cannot be recorded, and therefore must not be.
var ErrNotRecorded = errors.New("what is done here is to be recorded, and that is not possible now; ask the box's owner")

// suffix ends the name of a recording.
const suffix = ".cast.gz"

// Store is a directory of recordings. It is safe for use by many at once. A nil
// *Store records nothing.
type Store struct {
	settings Settings
	log      *slog.Logger

	mu    sync.Mutex
	open  map[string]bool // paths
	swept time.Time
}

// Open opens a directory, or makes it with mode 0700. It is nil where none is named.
func Open(settings Settings, log *slog.Logger) (*Store, error) {
	if settings.Dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(settings.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	info, err := os.Stat(settings.Dir)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s is open to others (mode %04o): chmod 0700 %s", settings.Dir, info.Mode().Perm(), settings.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	s := &Store{settings: settings, log: log, open: map[string]bool{}}
	s.sweep()
	return s, nil
}

// Wants reports whether sessions on a host are recorded; byGrant says that a grant
// asks for it.
func (s *Store) Wants(host string, byGrant bool) bool {
	if s == nil {
		return false
	}
	return byGrant || slices.ContainsFunc(s.settings.Hosts, func(pattern string) bool {
		matches, _ := path.Match(pattern, host)
		return matches
	})
}

// Start begins a recording. The error is [ErrNotRecorded]; where sessions may go on
// without, both are nil.
func (s *Store) Start(session Session) (*Recording, error) {
	s.sweepNowAndThen()
	r, err := s.begin(session)
	if err == nil {
		return r, nil
	}
	s.log.Error("session not recorded", "conn", session.Conn, "err", err)
	if s.settings.GoOn {
		return nil, nil
	}
	return nil, ErrNotRecorded
}

func (s *Store) begin(session Session) (*Recording, error) {
	file, ended, err := s.Create(session)
	if err != nil {
		return nil, err
	}
	return Begin(file, session, How{GoOn: s.settings.GoOn, Ended: ended, Log: s.log})
}

// GoesOn reports whether sessions may go on where nothing can be recorded.
func (s *Store) GoesOn() bool { return s != nil && s.settings.GoOn }

// Create makes the file of a recording. It is kept until ended is called, and after
// that for as long as recordings are.
func (s *Store) Create(session Session) (file *os.File, ended func(), err error) {
	day := filepath.Join(s.settings.Dir, session.Began.UTC().Format("2006-01-02"))
	if err := os.MkdirAll(day, 0o700); err != nil {
		return nil, nil, err
	}
	name := fmt.Sprintf("%s-%s-%s-%s-%d%s", session.Began.UTC().Format("150405"), session.Person, session.Host, session.Conn, session.Number, suffix)
	if file, err = os.OpenFile(filepath.Join(day, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, nil, err
	}
	path := file.Name()
	s.setOpen(path, true)
	return file, func() { s.setOpen(path, false) }, nil
}

func (s *Store) setOpen(path string, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open {
		s.open[path] = true
	} else {
		delete(s.open, path)
	}
}

// sweepEvery is how often old recordings are looked for.
const sweepEvery = 10 * time.Minute

func (s *Store) sweepNowAndThen() {
	s.mu.Lock()
	due := time.Since(s.swept) >= sweepEvery
	s.mu.Unlock()
	if due {
		s.sweep()
	}
}

// sweep removes what is too old, and then the oldest until the rest is small
// enough. What is being recorded stays.
func (s *Store) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = time.Now()
	all, err := List(s.settings.Dir)
	if err != nil {
		s.log.Warn("old recordings not looked for", "err", err)
		return
	}
	size := int64(0)
	for _, kept := range all {
		size += kept.Size
	}
	for _, oldest := range all {
		tooOld := s.settings.Keep > 0 && time.Since(oldest.Changed) > s.settings.Keep
		tooMuch := s.settings.MaxSize > 0 && size > s.settings.MaxSize
		if !tooOld && !tooMuch || s.open[oldest.Path] {
			continue
		}
		if err := os.Remove(oldest.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("old recording not removed", "err", err)
			continue
		}
		os.Remove(filepath.Dir(oldest.Path)) // if it was the last one of its day
		size -= oldest.Size
	}
}

// Kept is a recording that there is.
type Kept struct {
	Path    string
	Size    int64
	Changed time.Time
}

// List returns the recordings of a directory, the oldest first.
func List(dir string) ([]Kept, error) {
	var all []Kept
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.HasSuffix(path, suffix) {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreGone(err)
		}
		all = append(all, Kept{path, info.Size(), info.ModTime()})
		return nil
	})
	slices.SortFunc(all, func(a, b Kept) int { return cmp.Or(a.Changed.Compare(b.Changed), cmp.Compare(a.Path, b.Path)) })
	return all, err
}

// ignoreGone is for what another process removes meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

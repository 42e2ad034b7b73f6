// Package recording keeps what terminals showed: for each session at a terminal one
// file in the format asciicast v2 (docs.asciinema.org), compressed by gzip.
//
// Only output is recorded: what people type is in it where it is echoed, and so no
// password is. The files are private (0600, in a directory of 0700); old ones are
// removed by age, and the oldest where all together are too large.
package recording

import (
	"cmp"
	"context"
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
	"syscall"
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
	stop     context.CancelFunc
	sweeping sync.WaitGroup
}

// Open opens a directory, or makes it with mode 0700, and removes old recordings there
// now and every ten minutes, until Close. It is nil where none is named.
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
	ctx, stop := context.WithCancel(context.Background())
	s := &Store{settings: settings, log: log, stop: stop}
	s.sweeping.Go(func() { s.sweepUntil(ctx) })
	return s, nil
}

// Close ends the removing of old recordings, and no recording.
func (s *Store) Close() {
	if s != nil {
		s.stop()
		s.sweeping.Wait()
	}
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
	file, err := s.Create(session)
	if err != nil {
		return nil, err
	}
	return Begin(file, session, How{GoOn: s.settings.GoOn, Log: s.log})
}

// GoesOn reports whether sessions may go on where nothing can be recorded.
func (s *Store) GoesOn() bool { return s != nil && s.settings.GoOn }

// Create makes the file of a recording. For as long as a process has it open, it is kept;
// after that, for as long as recordings are.
func (s *Store) Create(session Session) (*os.File, error) {
	day := filepath.Join(s.settings.Dir, session.Began.UTC().Format("2006-01-02"))
	name := fmt.Sprintf("%s-%s-%s-%s-%d%s", session.Began.UTC().Format("150405"), session.Person, session.Host, session.Conn, session.Number, suffix)
	for try := 1; ; try++ {
		file, err := create(day, name)
		if err == nil || !errors.Is(err, errSwept) || try == maxCreates {
			return file, err
		}
	}
}

// maxCreates is how often a file is created at most that old recordings' removal takes.
const maxCreates = 100

// errSwept says that a file, or its directory, was removed before it was locked.
var errSwept = errors.New("it was taken for an old recording")

// create makes a file in a directory, and locks it.
func create(dir, name string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errSwept
	}
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		file.Close()
		return nil, err
	} else if err != nil || !isThere(file) {
		file.Close()
		return nil, errors.Join(errSwept, ignoreGone(os.Remove(file.Name())))
	}
	return file, nil
}

// isThere reports whether an open file still has its name.
func isThere(file *os.File) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(file.Name())
	return err == nil && os.SameFile(open, named)
}

// lock locks a file until every copy of its descriptor is closed, whichever process has
// it, or returns an error if it is locked (flock(2)).
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// sweepEvery is how often old recordings are looked for.
const sweepEvery = 10 * time.Minute

func (s *Store) sweepUntil(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		s.sweep()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sweep removes what is too old, and then the oldest until the rest is small
// enough. What is being recorded stays.
func (s *Store) sweep() {
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
		if !tooOld && !tooMuch {
			continue
		}
		removed, err := removeEnded(oldest.Path)
		if err != nil {
			s.log.Warn("old recording not removed", "err", err)
		}
		if removed {
			size -= oldest.Size
		}
	}
}

// removeEnded removes a recording, unless it is still made: by this gateway, or by a
// former one that goes on with its connections.
func removeEnded(path string) (removed bool, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	if lock(file) != nil {
		return false, nil
	}
	if err := os.Remove(path); err != nil {
		return false, ignoreGone(err)
	}
	os.Remove(filepath.Dir(path)) // if it was the last one of its day
	return true, nil
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

// Package recording keeps what terminals showed. Each session at a terminal has one
// file in the format asciicast v2 (docs.asciinema.org), compressed with gzip.
//
// Only output is recorded. What people type is in it only if it is echoed, which
// passwords are not. The files are private (0600, in a directory of 0700). Old ones
// are removed by age, and the oldest ones when all together are too large.
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

// Settings say which sessions are recorded, and where.
type Settings struct {
	Dir     string
	Hosts   []string      // names and patterns (path.Match); grants may add others
	Keep    time.Duration // how long a recording is kept; 0: for ever
	MaxSize int64         // of all recordings, in bytes; 0: no limit
	GoOn    bool          // sessions go on if they cannot be recorded; otherwise they are refused
}

// ErrNotRecorded says that a session cannot be recorded, and so is refused.
var ErrNotRecorded = errors.New("what is done here is to be recorded, and that is not possible now; ask the box's owner")

// suffix is the end of every recording's file name.
const suffix = ".cast.gz"

// Store is a directory of recordings. It is safe for concurrent use. A nil *Store
// records nothing.
type Store struct {
	settings Settings
	log      *slog.Logger
	room     *Room
	stop     context.CancelFunc
	sweeping sync.WaitGroup
}

// Open opens a directory of recordings; it creates it with mode 0700 if it does not
// exist. Old recordings are removed there now and every minute, until Close.
// Open returns nil if the settings name no directory.
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
	s := &Store{settings: settings, log: log, room: NewRoom(settings.MaxSize), stop: stop}
	s.sweeping.Go(func() { s.sweepUntil(ctx) })
	return s, nil
}

// Close stops the removal of old recordings. It does not end recordings that are
// being made.
func (s *Store) Close() {
	if s != nil {
		s.stop()
		s.sweeping.Wait()
	}
}

// Wants reports whether sessions on a host are to be recorded. byGrant says whether
// the grant demands it.
func (s *Store) Wants(host string, byGrant bool) bool {
	if s == nil {
		return false
	}
	return byGrant || slices.ContainsFunc(s.settings.Hosts, func(pattern string) bool {
		matches, _ := path.Match(pattern, host)
		return matches
	})
}

// Start begins a recording. If that fails, the error is [ErrNotRecorded]; if sessions
// may go on without a recording, both results are nil.
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
	return Begin(file, session, How{GoOn: s.settings.GoOn, Room: s.room, Log: s.log})
}

// GoesOn reports whether sessions may go on when they cannot be recorded.
func (s *Store) GoesOn() bool { return s != nil && s.settings.GoOn }

// MaxSize returns the largest size of all recordings, in bytes; 0 if there is no limit.
func (s *Store) MaxSize() int64 {
	if s == nil {
		return 0
	}
	return s.settings.MaxSize
}

// Create creates the file of a recording. The file is not removed as long as any
// process has it open, and after that is kept for as long as the settings say.
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

// maxCreates is how often Create tries again when a file is removed as an old
// recording before it is locked.
const maxCreates = 100

// errSwept is the error when a new file, or its directory, was removed before it was
// locked.
var errSwept = errors.New("it was taken for an old recording")

// create creates and locks a file in a directory.
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

// lock locks a file until every copy of its descriptor is closed, in any process
// (flock(2)). It fails if the file is locked.
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// sweepEvery is how often old recordings are removed.
const sweepEvery = time.Minute

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

// sweep removes recordings that are too old, and then the oldest ones until the rest
// is small enough. It keeps those that are being made.
func (s *Store) sweep() {
	dir, err := lockSweeps(s.settings.Dir)
	if err != nil {
		s.log.Warn("old recordings not looked for", "err", err)
		return
	}
	defer dir.Close()
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

// lockSweeps waits until no other gateway sweeps the directory, and keeps it from that until
// the file is closed: a recording that two remove at once would be missing in the sum of the
// one that comes second, which would remove another one in its place.
func lockSweeps(dir string) (*os.File, error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// removeEnded removes a recording, unless it is still being made by this gateway, or
// by a former one that goes on with its connections.
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
	os.Remove(filepath.Dir(path)) // succeeds only if it is empty now
	return true, nil
}

// Kept is a recording in the store.
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

// ignoreGone returns err, or nil if it says that another process has removed the
// file.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

package recording

import (
	"errors"
	"io"
	"sync"
)

// leastRoom is the size, in bytes, below which a recording never ends for lack of room, so
// that a flood of output in one session does not end ordinary ones.
const leastRoom = 1 << 20

var errNoRoom = errors.New("the recordings that are being made are larger than record.max_size, and this is the largest of them")

// Room limits the recordings that are being made, which are never removed: once they are
// larger than a size together, the largest one ends. It is safe for concurrent use. A nil
// *Room has no limit.
type Room struct {
	size int64 // bytes

	mu   sync.Mutex
	used int64 // bytes of all recordings that are being made
	full int64 // of these, bytes of those that have ended for lack of room
	made int   // how many have not ended
}

// NewRoom returns a room of a size in bytes, or nil if that is 0.
func NewRoom(size int64) *Room {
	if size == 0 {
		return nil
	}
	return &Room{size: size}
}

// share is one recording's part of a room.
type share struct {
	room *Room
	own  int64 // bytes; room.mu guards it
	over bool  // it has ended for lack of room; guarded likewise
}

func (r *Room) enter() *share {
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.made++
	}
	return &share{room: r}
}

// grow adds written bytes to the share.
func (s *share) grow(by int) {
	r := s.room
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.own, r.used = s.own+int64(by), r.used+int64(by)
	if s.over {
		r.full += int64(by) // the end of the file
	}
}

// isOver reports whether the recording has to end: there is no room left, and it is larger
// than the others are on average. It remains so.
func (s *share) isOver() bool {
	r := s.room
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.over || r.used <= r.size || s.own <= leastRoom || s.own*int64(r.made) < r.used-r.full {
		return s.over
	}
	s.over, r.full, r.made = true, r.full+s.own, r.made-1
	return true
}

// leave gives the room back, once.
func (s *share) leave() {
	r := s.room
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used -= s.own
	if s.over {
		r.full -= s.own
	} else {
		r.made--
	}
}

// counted is a file whose bytes are counted.
type counted struct {
	io.Writer
	share *share
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.share.grow(n)
	return n, err
}

package printable

import (
	"bytes"
	"strings"
	"sync"
)

// Beginning keeps the beginning of what is written to it, and takes the rest without a
// word. It is safe for use by several writers at once.
type Beginning struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// MaxBeginning is how much is kept, in bytes.
const MaxBeginning = 4 << 10

// Write never fails, and never waits.
func (b *Beginning) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p[:min(len(p), MaxBeginning-b.buf.Len())])
	return len(p), nil
}

// Line is the first line of it that is not empty, fit to be shown.
func (b *Beginning) Line() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	line, _, _ := strings.Cut(strings.TrimSpace(b.buf.String()), "\n")
	return Line(line, MaxBeginning)
}

package sshconn

import (
	"io"
	"testing"
)

// sizes is a source that records the sizes of the buffers that it is given, and fills
// the given number of bytes of each.
type sizes struct {
	fill  []int
	given []int
}

func (s *sizes) Read(p []byte) (int, error) {
	s.given = append(s.given, len(p))
	if len(s.given) > len(s.fill) {
		return 0, io.EOF
	}
	return min(s.fill[len(s.given)-1], len(p)), nil
}

// An idle shell holds no large buffer, also after it has printed much.
func TestCopyHasALargeBufferOnlyWhileMuchComes(t *testing.T) {
	source := &sizes{fill: []int{1, idleSize, copySize, 20 << 10, 1, 1}}
	if err := Copy(io.Discard, source, nil); err != nil {
		t.Fatal(err)
	}
	want := []int{idleSize, idleSize, copySize, copySize, copySize, idleSize, idleSize}
	for i := range want {
		if i >= len(source.given) || source.given[i] != want[i] {
			t.Fatalf("buffers of %v, want %v", source.given, want)
		}
	}
}

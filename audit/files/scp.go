package files

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxLine is longer than any line of scp's protocol: a path and some numbers.
const maxLine = 8 << 10

// Scp watches a session of scp's own protocol, which scp -O uses: one side sends a
// line for each file, followed by the file's data.
type Scp struct {
	tell       func(File)
	lost       func(why string)
	fromClient bool // the client sends the files

	mu     sync.Mutex
	line   []byte
	dirs   []string
	file   *File  // the file whose data comes now
	left   uint64 // bytes of its data still to come
	isOver bool
}

// ForCommand returns the watcher of a command, or nil if it is not scp as a client
// starts it. It does not recognise scp inside another command.
func ForCommand(command string, tell func(File), lost func(why string)) Watcher {
	words := strings.Fields(command)
	if len(words) == 0 || path.Base(words[0]) != "scp" {
		return nil
	}
	for _, word := range words[1:] {
		switch {
		case word == "--" || !strings.HasPrefix(word, "-"):
			return nil
		case strings.ContainsAny(word, "tf"):
			return &Scp{tell: tell, lost: lost, fromClient: strings.Contains(word, "t")}
		}
	}
	return nil
}

// FromClient is given what the client sends.
func (s *Scp) FromClient(p []byte) {
	if s.fromClient {
		s.feed(p)
	}
}

// FromHost is given what the host sends.
func (s *Scp) FromHost(p []byte) {
	if !s.fromClient {
		s.feed(p)
	}
}

// End reports a file whose data is incomplete.
func (s *Scp) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.Bytes -= s.left
		s.file.Cut = true
		s.tell(*s.file)
	}
	s.file, s.isOver = nil, true
}

func (s *Scp) feed(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 && !s.isOver {
		if s.left > 0 {
			n := min(s.left, uint64(len(p)))
			s.left, p = s.left-n, p[n:]
			continue
		}
		if s.file != nil { // a byte that says whether the sender could read the whole file
			s.file.Failed = p[0] != 0
			s.tell(*s.file)
			if s.file = nil; p[0] == 0 {
				p = p[1:]
			}
			continue
		}
		p = s.feedLine(p)
	}
}

func (s *Scp) feedLine(p []byte) (rest []byte) {
	end := slices.Index(p, '\n')
	if end < 0 {
		s.line = append(s.line, p...)
		if len(s.line) > maxLine {
			s.give("it has a line that is none")
		}
		return nil
	}
	line := string(append(s.line, p[:end]...))
	s.line = s.line[:0]
	s.read(line)
	return p[end+1:]
}

// read handles one line of the sender.
func (s *Scp) read(line string) {
	if line == "" {
		s.give("it has a line that is none")
		return
	}
	switch kind := line[0]; kind {
	case 'T', 1, 2: // times; a warning; an error
	case 'E':
		s.dirs = s.dirs[:max(len(s.dirs)-1, 0)]
	case 'C', 'D':
		size, name, ok := announced(line[1:])
		switch {
		case !ok || len(s.dirs) > 1000:
			s.give("it has a line that is none")
		case kind == 'D':
			s.dirs = append(s.dirs, name)
		default:
			action := Download
			if s.fromClient {
				action = Upload
			}
			s.file = &File{Action: action, Path: strings.Join(append(slices.Clone(s.dirs), name), "/"), Bytes: size}
			s.left = size
		}
	default:
		s.give("it has a line that is none")
	}
}

// announced parses the rest of a line C or D: mode, size and name.
func announced(line string) (size uint64, name string, ok bool) {
	mode, rest, ok1 := strings.Cut(line, " ")
	number, name, ok2 := strings.Cut(rest, " ")
	size, err := strconv.ParseUint(number, 10, 62)
	_, modeErr := strconv.ParseUint(mode, 8, 32)
	return size, name, ok1 && ok2 && err == nil && modeErr == nil && name != ""
}

func (s *Scp) give(why string) {
	s.isOver = true
	s.lost(why)
}

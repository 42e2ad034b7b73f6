package files

import "encoding/binary"

const (
	// maxPacket is more than any server takes; a longer one is no packet.
	maxPacket = 1 << 20

	// maxKept is of a packet's beginning what is looked at: two paths and more.
	// Of data it is the little that stands before it.
	maxKept     = 16 << 10
	maxKeptData = 512
)

// packets cuts what one side sends into packets, and keeps their beginnings only.
type packets struct {
	got  func(kind byte, body []byte) // body: the beginning of what follows the kind
	lost func(why string)             // what comes is no packet; nothing more is got

	head   []byte
	skip   int  // bytes of the packet that nobody looks at
	isOver bool // after lost
}

func (s *packets) feed(p []byte) {
	for len(p) > 0 && !s.isOver {
		if s.skip > 0 {
			n := min(s.skip, len(p))
			s.skip, p = s.skip-n, p[n:]
			continue
		}
		missing := s.wanted() - len(s.head)
		n := min(missing, len(p))
		s.head, p = append(s.head, p[:n]...), p[n:]
		s.next()
	}
}

const prefix = 5 // length and kind

// wanted is how much of the packet is kept.
func (s *packets) wanted() int {
	if len(s.head) < prefix {
		return prefix
	}
	kept := maxKept
	if kind := s.head[4]; kind == typeWrite || kind == typeData {
		kept = maxKeptData
	}
	return prefix + min(s.length()-1, kept)
}

// length is that of the packet, with its kind.
func (s *packets) length() int { return int(binary.BigEndian.Uint32(s.head)) }

// next hands out the packet whose beginning is there.
func (s *packets) next() {
	if len(s.head) < prefix {
		return
	}
	length := s.length()
	if length < 1 || length > maxPacket {
		s.isOver = true
		s.lost("it has a packet that is none")
		return
	}
	if len(s.head) < s.wanted() {
		return
	}
	kind, body := s.head[4], s.head[prefix:]
	s.skip = length - 1 - len(body)
	s.head = s.head[:0]
	s.got(kind, body)
}

// fields reads the fields of a packet's beginning, one after the other.
type fields struct {
	rest  []byte
	short bool // there was less than was asked for
}

func (f *fields) number() uint32 {
	if len(f.rest) < 4 {
		f.short = true
		return 0
	}
	n := binary.BigEndian.Uint32(f.rest)
	f.rest = f.rest[4:]
	return n
}

func (f *fields) skip(n int) {
	if len(f.rest) < n {
		f.short, n = true, len(f.rest)
	}
	f.rest = f.rest[n:]
}

func (f *fields) text() string {
	n := f.number()
	if f.short || uint64(n) > uint64(len(f.rest)) {
		f.short = true
		return ""
	}
	text := string(f.rest[:n])
	f.rest = f.rest[n:]
	return text
}

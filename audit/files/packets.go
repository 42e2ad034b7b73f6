package files

import "encoding/binary"

const (
	// maxPacket is larger than any server accepts; more is a malformed packet.
	maxPacket = 1 << 20

	// maxKept is how much of a packet's beginning is kept: enough for two paths. Of a
	// packet with data only the fields before the data are kept.
	maxKept     = 16 << 10
	maxKeptData = 512
)

// packets splits what one side sends into packets, and keeps only their beginnings.
type packets struct {
	got  func(kind byte, body []byte) // called with each packet; body is the beginning of what follows the kind
	lost func(why string)             // called once, at a malformed packet; got is not called any more

	head   []byte
	skip   int  // bytes of the packet still to be dropped
	isOver bool // lost was called
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

// wanted returns how many bytes of the packet are kept.
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

// length returns the length of the packet, with its kind.
func (s *packets) length() int { return int(binary.BigEndian.Uint32(s.head)) }

// next passes on the packet whose beginning is complete.
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

// fields reads the fields of a packet's beginning, in order.
type fields struct {
	rest  []byte
	short bool // a field was incomplete
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

package streams

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// Parts of yamux's specification that frames needs.
const (
	frameHeader = 12 // version, type, flags, stream id, length

	frameData = 0
	framePing = 2
	flagSYN   = 1

	// maxPings is how many pings a helper may send in a minute. A real one sends two.
	maxPings = 20
)

var (
	errOpens = errors.New("the helper opens a stream, which is the gateway's to do")
	errPings = errors.New("the helper asks for a sign of life without end")
)

// frames reads yamux frames from a container, and fails on those that would cost the
// gateway unbounded memory: opened streams, and too many pings, since yamux answers
// each ping in a goroutine of its own.
type frames struct {
	io.Reader

	header []byte // as far as it was read
	body   uint32 // bytes of the frame's body still to come
	pings  int
	minute time.Time
}

func (f *frames) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if bad := f.follow(p[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

func (f *frames) follow(data []byte) error {
	for len(data) > 0 {
		if f.body > 0 {
			skipped := min(uint32(len(data)), f.body)
			f.body -= skipped
			data = data[skipped:]
			continue
		}
		taken := min(len(data), frameHeader-len(f.header))
		f.header = append(f.header, data[:taken]...)
		data = data[taken:]
		if len(f.header) == frameHeader {
			if err := f.check(); err != nil {
				return err
			}
			f.header = f.header[:0]
		}
	}
	return nil
}

func (f *frames) check() error {
	kind, flags := f.header[1], binary.BigEndian.Uint16(f.header[2:])
	switch {
	case kind == frameData:
		f.body = binary.BigEndian.Uint32(f.header[8:])
	case kind == framePing && flags&flagSYN != 0:
		return f.countPing()
	}
	if kind != framePing && flags&flagSYN != 0 {
		return errOpens
	}
	return nil
}

func (f *frames) countPing() error {
	if time.Since(f.minute) > time.Minute {
		f.pings, f.minute = 0, time.Now()
	}
	f.pings++
	if f.pings > maxPings {
		return errPings
	}
	return nil
}

// frameWriter joins a frame's header and its data in one write. yamux writes them one
// after the other, and each write becomes a message of its own on the way to the
// helper.
type frameWriter struct {
	w    io.Writer
	held []byte
}

func (f *frameWriter) Write(p []byte) (int, error) {
	isHeader := len(f.held) == 0 && len(p) == frameHeader
	if isHeader && p[1] == frameData && binary.BigEndian.Uint32(p[8:]) > 0 {
		f.held = append(f.held, p...)
		return len(p), nil
	}
	if len(f.held) == 0 {
		return f.w.Write(p)
	}
	frame := append(f.held, p...)
	f.held = frame[:0]
	if _, err := f.w.Write(frame); err != nil {
		return 0, err
	}
	return len(p), nil
}

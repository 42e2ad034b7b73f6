package streams

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/test/harness"

	"github.com/hashicorp/yamux"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func frame(kind byte, flags uint16, body string) string {
	header := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	header = binary.BigEndian.AppendUint32(header, 1)
	return string(binary.BigEndian.AppendUint32(header, uint32(len(body)))) + body
}

// The attack: a container sends pings without end, or opens streams that nobody asked
// for. Each costs the gateway something.
func TestAContainerCannotFloodItsStreams(t *testing.T) {
	data, ping := frame(0, 0, strings.Repeat(frame(0, flagSYN, ""), 10)), frame(framePing, flagSYN, "")
	for name, c := range map[string]struct {
		sent string
		want error
	}{
		"data":                {strings.Repeat(data, 100), nil},
		"answers":             {strings.Repeat(frame(framePing, 2, ""), 100), nil},
		"a ping now and then": {strings.Repeat(data+ping, maxPings), nil},
		"pings without end":   {strings.Repeat(data+ping, maxPings+1), errPings},
		"a stream":            {data + frame(1, flagSYN, ""), errOpens},
		"a stream with data":  {data + frame(0, flagSYN, "x"), errOpens},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			got, err := io.ReadAll(&frames{Reader: &slowReader{strings.NewReader(c.sent), size}})
			if !errors.Is(err, c.want) || c.want == nil && string(got) != c.sent {
				t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(c.sent), err)
			}
		}
	}
}

// slowReader reads at most so many bytes at a time.
type slowReader struct {
	io.Reader
	size int
}

func (r *slowReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), r.size)]) }

// hostile returns a client whose helper treats the streams as the test says.
func hostile(t *testing.T, serve func(*yamux.Stream)) *Client {
	t.Helper()
	near, far := net.Pipe()
	helper, err := yamux.Server(far, muxed())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			stream, err := helper.AcceptStream()
			if err != nil {
				return
			}
			go serve(stream)
		}
	}()
	client, err := NewClient(Standard{near, near, func() { near.Close() }}, messages.Current())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		helper.Close()
		<-ended
	})
	return client
}

// The attack: a helper never ends its streams, or sends on them without end, so that
// the gateway keeps more and more of them. A person's connection must still end.
func TestAHelperThatKeepsItsStreamsIsGivenUp(t *testing.T) {
	for name, keep := range map[string]func(*stream){
		"silent": func(*stream) {},
		"sends on": func(s *stream) {
			for {
				if _, err := s.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := hostile(t, func(s *yamux.Stream) {
				control := newStream(s)
				control.receive(messages.MaxRequest)
				control.send(messages.TypeDone, messages.Done{})
				control.SetWriteDeadline(time.Time{})
				keep(control)
			})
			client.letGoIn = 2 * time.Second
			on, err := client.Machine()
			if err != nil {
				t.Fatal(err)
			}
			process, err := on.Start(machine.Command{Kind: machine.Exec, Line: "true"})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			harness.Within(t, "the person", func() {
				go io.Copy(io.Discard, process.Stdout)
				process.Close()
				for out := process.Stdout.(output); len(out.reading) == 0; { // until drain waits for the stream's end
					time.Sleep(time.Millisecond)
				}
				process.Stdout.Read(make([]byte, 1))
			})
			if took := time.Since(began); took > client.letGoIn/2 {
				t.Errorf("the person waits for the helper: %v", took)
			}
			harness.Within(t, "the gateway", func() { <-client.Done() })
		})
	}
}

// The attack as above, by a helper that is asked for many streams within the timeout.
func TestAHelperThatKeepsManyStreamsIsGivenUp(t *testing.T) {
	client := hostile(t, func(s *yamux.Stream) {
		control := newStream(s)
		control.receive(messages.MaxRequest)
		control.send(messages.TypeDone, messages.Done{})
	})
	client.maxOpen = 10
	on, err := client.Machine()
	if err != nil {
		t.Fatal(err)
	}
	for range client.maxOpen {
		if conn, err := on.Dial("tcp", "127.0.0.1:1"); err == nil {
			conn.Close()
		}
	}
	harness.Within(t, "the gateway", func() { <-client.Done() })
}

// Input may end an hour before output does. By default yamux would cut such a stream
// after five minutes.
func TestAStreamMayBeHalfClosedForLong(t *testing.T) {
	if cut := muxed().StreamCloseTimeout; cut != 0 {
		t.Errorf("it is cut after %v", cut)
	}
}

// A helper's messages are bounded, whatever length their header gives.
func TestALargeMessageOfAHelperIsRefused(t *testing.T) {
	large := binary.BigEndian.AppendUint32(nil, messages.MaxReply+1)
	large = append(large, make([]byte, messages.MaxReply+1)...)
	client := hostile(t, func(s *yamux.Stream) {
		defer s.Close()
		newStream(s).receive(messages.MaxRequest)
		s.Write(large)
	})
	control, err := client.open(messages.TypeDial, messages.Address{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.letGo(control)
	if message, err := control.receive(messages.MaxReply); err == nil {
		t.Errorf("a message of %d bytes was taken", len(message.Body)+1)
	}
}

func TestAFrameIsWrittenAtOnce(t *testing.T) {
	var writes [][]byte
	w := &frameWriter{w: writerFunc(func(p []byte) (int, error) {
		writes = append(writes, bytes.Clone(p))
		return len(p), nil
	})}
	whole := []string{frame(framePing, flagSYN, ""), frame(frameData, 0, "twelve bytes"), frame(frameData, 0, ""), frame(frameData, 0, "x")}
	for _, f := range whole {
		io.WriteString(w, f[:frameHeader])
		if len(f) > frameHeader {
			io.WriteString(w, f[frameHeader:])
		}
	}
	if len(writes) != len(whole) {
		t.Fatalf("%d writes for %d frames", len(writes), len(whole))
	}
	for i, f := range whole {
		if string(writes[i]) != f {
			t.Errorf("frame %d is %q, want %q", i, writes[i], f)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// No bytes of a container on its streams make the gateway panic.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(frame(frameData, 0, "x") + frame(framePing, flagSYN, "")))
	f.Fuzz(func(t *testing.T, said []byte) { (&frames{}).follow(said) })
}

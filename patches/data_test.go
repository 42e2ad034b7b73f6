package patches_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-ssh/berth/patches"

	"golang.org/x/crypto/ssh"
)

// pattern is a stream of bytes in which streams, and neighbouring offsets of a
// stream, differ.
type pattern struct{ channel, stream, offset int }

// next returns the next n bytes.
func (p *pattern) next(n int) []byte {
	bytes := make([]byte, n)
	for i := range bytes {
		at := p.offset + i
		bytes[i] = byte(p.channel*31 + p.stream*17 + at + at>>8*7)
	}
	p.offset += n
	return bytes
}

// check reads a stream to its end, in pieces of many sizes, and compares it.
func (p *pattern) check(from io.Reader) error {
	buffer := make([]byte, 50_000)
	for size := 1; ; size = (size*7 + 1) % len(buffer) {
		n, err := from.Read(buffer[:size+1])
		at := p.offset
		if !bytes.Equal(p.next(n), buffer[:n]) {
			return fmt.Errorf("other bytes after %d", at)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// receivedWhole sends over several channels, in packets of many sizes and on both
// streams of a channel. Some are read at once, the others only after much more has
// been received.
func receivedWhole(t *testing.T) {
	const channels, pieces = 6, 40
	waits := func(channel, stream int) bool { return (channel+stream)%2 == 1 }
	read := make(chan struct{}) // is closed when those that wait are to be read
	var readers, writers sync.WaitGroup
	check := func(from io.Reader, channel, stream int) {
		if waits(channel, stream) {
			<-read
		}
		if err := (&pattern{channel: channel, stream: stream}).check(from); err != nil {
			t.Errorf("channel %d, stream %d: %v", channel, stream, err)
			io.Copy(io.Discard, from) // or its writer would wait
		}
	}
	listener, err := listen(func(client *ssh.ServerConn, opened <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		for number := range channels {
			asked, ok := <-opened
			if !ok {
				t.Error("the connection has ended")
				return
			}
			readers.Go(func() {
				channel, channelRequests, err := asked.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				go ssh.DiscardRequests(channelRequests)
				readers.Go(func() { check(channel.Stderr(), number, 1) })
				check(channel, number, 0)
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for number := range channels {
		channel, channelRequests, err := client.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(channelRequests)
		writers.Go(func() {
			out, errs := &pattern{channel: number}, &pattern{channel: number, stream: 1}
			for piece := range pieces {
				size := 1 + piece*piece*7919%40_000
				for range 8 {
					if !waits(number, 0) {
						channel.Write(out.next(size))
					} else {
						channel.Stderr().Write(errs.next(size))
					}
				}
				if waits(number, 0) {
					channel.Write(out.next(size))
				} else {
					channel.Stderr().Write(errs.next(size))
				}
			}
			channel.CloseWrite()
		})
	}
	writers.Wait()
	close(read)
	readers.Wait()
}

// TestInside runs the tests that are beside the code that is added, and see what programs
// do not: TestBerth... in _ssh.
func TestInside(t *testing.T) {
	needPatched(t)
	command := exec.Command("go", "test", "-vet=off", "-v", "-count=1", "-timeout", "5m", "-run", "^TestBerth", "-tags", built("-tags"))
	if isRaced() {
		command.Args = append(command.Args, "-race")
	}
	command.Args = append(command.Args, patches.Module+"/ssh")
	said, err := command.CombinedOutput()
	if err != nil || !bytes.Contains(said, []byte("--- PASS: TestBerth")) {
		t.Errorf("%v: %v\n%s", command, err, said)
	}
}

// isRaced reports whether the race detector is on.
func isRaced() bool { return built("-race") == "true" }

// built is how this program was built, by a flag of go's; "" for not with it.
func built(flag string) string {
	built, _ := debug.ReadBuildInfo()
	for _, setting := range built.Settings {
		if setting.Key == flag {
			return setting.Value
		}
	}
	return ""
}

// taking is a connection that takes packets over, and overwrites their memory after
// they are written.
type taking struct {
	net.Conn
	taken atomic.Int64
}

func (c *taking) WriteWhole(packet []byte, giveBack func([]byte)) (int, error) {
	c.taken.Add(1)
	n, err := c.Conn.Write(packet)
	for i := range packet {
		packet[i] = 0xdb
	}
	giveBack(packet)
	return n, err
}

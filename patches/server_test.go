package patches_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/patches"

	"golang.org/x/crypto/ssh"
)

// envServer makes this program the server of the attacks, so that its memory can be
// measured separately.
const envServer = "BERTH_PATCHES_SERVER"

// Special passwords and users of the server: the check of slowPassword never ends,
// and for idle the requests on channels are not served.
const (
	user         = "alice"
	password     = "right"
	idle         = "idle"
	slowPassword = "slow"
)

// patience bounds every wait.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(envServer) != "" {
		if err := runServer(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// needPatched skips a test if the module is not edited; in CI that fails the test.
func needPatched(t *testing.T) {
	t.Helper()
	if patches.Applied() {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(patches.Module + " is not patched: build with GOFLAGS=$(scripts/goflags)")
	}
	t.Skip(patches.Module + " is not patched: GOFLAGS=$(scripts/goflags) go test does that")
}

// listen serves SSH at a new address, and calls serve for each connection that logs
// in.
func listen(serve func(*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request)) (net.Listener, error) {
	config, err := serverConfig()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func() {
				if client, channels, requests, err := ssh.NewServerConn(conn, config); err == nil {
					serve(client, channels, requests)
				}
			}()
		}
	}()
	return listener, nil
}

func serverConfig() (*ssh.ServerConfig, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	config := &ssh.ServerConfig{
		PasswordCallback: func(_ ssh.ConnMetadata, tried []byte) (*ssh.Permissions, error) {
			switch string(tried) {
			case password, idle:
				return &ssh.Permissions{Extensions: map[string]string{"password": string(tried)}}, nil
			case slowPassword:
				select {}
			}
			return nil, errors.New("wrong")
		},
	}
	config.AddHostKey(signer)
	return config, nil
}

// serveWell does what x/crypto demands of a server: it serves everything until the
// connection ends. It accepts channels and does not read them.
func serveWell(client *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	var all sync.WaitGroup
	all.Go(func() { ssh.DiscardRequests(requests) })
	all.Go(func() {
		for opened := range channels {
			if _, requests, err := opened.Accept(); err == nil && client.Permissions.Extensions["password"] != idle {
				all.Go(func() { ssh.DiscardRequests(requests) })
			}
		}
	})
	client.Wait()
	client.Close()
	all.Wait()
}

// runServer prints its address, and what it holds for each line that it reads.
func runServer(in io.Reader, out io.Writer) error {
	listener, err := listen(serveWell)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, listener.Addr())
	for lines := bufio.NewScanner(in); lines.Scan(); {
		debug.FreeOSMemory()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		fmt.Fprintln(out, runtime.NumGoroutine(), memory.Sys-memory.HeapReleased)
	}
	return nil
}

// server is a server process.
type server struct {
	address string
	in      io.Writer
	out     *bufio.Reader
}

// held is what a server holds: goroutines, and bytes of the system's memory,
// without what the race detector needs.
type held struct{ goroutines, memory int }

func (h held) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MiB", h.goroutines, mib(h.memory))
}

func mib(bytes int) float64 { return float64(bytes) / (1 << 20) }

func startServer(t *testing.T) *server {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), envServer+"=1")
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		command.Wait()
	})
	s := &server{in: in, out: bufio.NewReader(out)}
	s.address = strings.TrimSpace(s.line(t))
	return s
}

func (s *server) line(t *testing.T) string {
	t.Helper()
	line, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// held returns what the server holds after a garbage collection.
func (s *server) held(t *testing.T) (h held) {
	t.Helper()
	fmt.Fprintln(s.in)
	if _, err := fmt.Sscan(s.line(t), &h.goroutines, &h.memory); err != nil {
		t.Fatal(err)
	}
	return h
}

// settled waits until the server has at most this many goroutines, and returns what
// it holds then.
func (s *server) settled(t *testing.T, goroutines int) held {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		h := s.held(t)
		if h.goroutines <= goroutines || time.Now().After(deadline) {
			return h
		}
		time.Sleep(50 * time.Millisecond)
	}
}

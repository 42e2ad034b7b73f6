package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

const (
	// maxCallers is how many are answered at the same time; more wait.
	maxCallers = 8

	// requestTimeout bounds how long a caller may take to say what it wants, and
	// to take the answer.
	requestTimeout = 10 * time.Second
)

// Verb does what a caller asks for. What it returns becomes JSON; its error is
// shown to the caller.
type Verb func(ctx context.Context, args json.RawMessage) (result any, err error)

// Server answers callers.
type Server struct {
	listener *net.UnixListener
	mu       sync.Mutex
	path     string
	verbs    map[string]Verb
	log      *slog.Logger
	stop     context.CancelFunc
	all      sync.WaitGroup
}

// Listen makes the socket and answers until Close. The error says so if another
// gateway answers there already; what one that was killed has left is replaced.
func Listen(path string, verbs map[string]Verb, log *slog.Logger) (*Server, error) {
	listener, err := ListenPrivately(path)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{listener: listener, path: path, verbs: verbs, log: log, stop: stop}
	s.all.Go(func() { s.accept(ctx) })
	return s, nil
}

// ListenPrivately makes a socket that root and this account alone reach. The error
// says so if another gateway answers there already; what one that was killed has left
// is replaced. Closing the listener does not remove the socket, which may be another
// gateway's by then.
func ListenPrivately(path string) (*net.UnixListener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another gateway answers at %s", path)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil { // until here the directory's mode keeps others out
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// StepAside moves the socket to another path, and leaves its former one to the
// gateway that comes next. Whoever calls there is still answered.
func (s *Server) StepAside(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Rename(s.path, path); err != nil {
		return err
	}
	s.path = path
	return nil
}

// Close removes the socket, and waits for verbs that are at work.
func (s *Server) Close() {
	s.mu.Lock()
	s.listener.Close()
	os.Remove(s.path)
	s.mu.Unlock()
	s.stop()
	s.all.Wait()
}

func (s *Server) accept(ctx context.Context) {
	free := make(chan struct{}, maxCallers)
	for {
		conn, err := s.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("control: connection not accepted", "err", err)
			time.Sleep(100 * time.Millisecond) // descriptors ran out
			continue
		}
		free <- struct{}{}
		s.all.Go(func() {
			defer func() { <-free }()
			defer conn.Close()
			s.serve(ctx, conn)
		})
	}
}

func (s *Server) serve(ctx context.Context, conn *net.UnixConn) {
	if !IsOwn(conn) {
		s.log.Warn("control: a caller of another account was refused")
		return
	}
	conn.SetReadDeadline(time.Now().Add(requestTimeout))
	var request Request
	response := Response{Error: "not a request: send one line of JSON with a verb"}
	if err := json.NewDecoder(io.LimitReader(conn, maxRequest)).Decode(&request); err == nil {
		response = s.answer(ctx, request)
	}
	conn.SetWriteDeadline(time.Now().Add(requestTimeout))
	if err := json.NewEncoder(conn).Encode(response); err != nil {
		s.log.Warn("control: the answer was not taken", "verb", request.Verb, "err", err)
	}
}

// answer runs a verb. A panic in one is the caller's error, and nobody else's.
func (s *Server) answer(ctx context.Context, request Request) (response Response) {
	verb, known := s.verbs[request.Verb]
	if !known {
		return Response{Error: fmt.Sprintf("this gateway does not know %.64q; is it of an older version?", request.Verb)}
	}
	defer func() {
		if value := recover(); value != nil {
			s.log.Error("panic", "verb", request.Verb, "value", value, "stack", string(debug.Stack()))
			response = Response{Error: "the gateway failed; its log says why"}
		}
	}()
	result, err := verb(ctx, request.Args)
	if err != nil {
		response.Error = err.Error()
	}
	if result == nil {
		return response
	}
	text, err := json.Marshal(result)
	if err != nil {
		return Response{Error: err.Error()}
	}
	response.Result = text
	return response
}

// IsOwn reports whether a caller is root or of the gateway's account. The
// socket's mode says the same; a directory that somebody has opened does not
// undo it.
func IsOwn(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	own := false
	err = raw.Control(func(fd uintptr) {
		peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		own = err == nil && (peer.Uid == 0 || int(peer.Uid) == os.Getuid())
	})
	return err == nil && own
}

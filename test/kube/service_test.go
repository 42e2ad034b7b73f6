package kube

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/test/harness"
)

// service is what kube-proxy makes of a Service on each node: each connection is given to
// an endpoint that is ready, in turn. kube-proxy itself is not in this cluster, since it
// writes rules of the kernel's packet filter, which a machine for tests need not have. What
// is an endpoint, and from when until when, the cluster's control plane says.
type service struct {
	Address string // host:port

	mu    sync.Mutex
	ready []endpoint
	given []string // the pods that connections were given to
}

type endpoint struct{ address, node, pod string }

// door is an address of this machine that leads to the endpoint, ready or not.
func (e endpoint) door(t *testing.T) (address string) {
	t.Helper()
	return serve(t, func() (net.Conn, error) { return dialFrom(e.node, e.address) })
}

// isClosed reports whether a gateway is gone, or turns away who comes and says why.
func (e endpoint) isClosed() bool {
	conn, err := dialFrom(e.node, e.address)
	if err != nil {
		return true
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	said, _ := io.ReadAll(conn)
	return strings.Contains(string(said), "the gateway is stopping")
}

// startService follows a Service of a namespace until the test ends.
func startService(t *testing.T, n harness.Namespace, name string) *service {
	t.Helper()
	s := &service{}
	s.Address = serve(t, func() (net.Conn, error) {
		to, ok := s.next()
		if !ok {
			return nil, fmt.Errorf("service %s has no endpoint", name)
		}
		return dialFrom(to.node, to.address)
	})
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil { // the API server may be restarted
			s.follow(ctx, n.Name, name)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-stopped
	})
	return s
}

// follow takes each change of the Service's endpoints, until the watch ends.
func (s *service) follow(ctx context.Context, namespace, name string) {
	const endpoints = `{range .endpoints[*]}{.conditions.ready},{.addresses[0]},{.nodeName},{.targetRef.name} {end}{"\n"}`
	command := exec.CommandContext(ctx, "kubectl", "-n", namespace, "get", "endpointslices", "-l", "kubernetes.io/service-name="+name,
		"--watch", "-o", "jsonpath="+endpoints)
	out, err := command.StdoutPipe()
	if err != nil || command.Start() != nil {
		return
	}
	defer command.Wait()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var ready []endpoint
		for _, told := range strings.Fields(lines.Text()) {
			if is := strings.Split(told, ","); is[0] == "true" {
				ready = append(ready, endpoint{is[1] + ":2222", is[2], is[3]})
			}
		}
		s.mu.Lock()
		s.ready = ready
		s.mu.Unlock()
	}
}

func (s *service) next() (endpoint, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return endpoint{}, false
	}
	to := s.ready[len(s.given)%len(s.ready)]
	s.given = append(s.given, to.pod)
	return to, true
}

// endpoints are those that are ready.
func (s *service) endpoints() []endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// passed are the pods that connections were given to, one after the other.
func (s *service) passed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.given)
}

// last is the pod that the last connection was given to.
func (s *service) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given[len(s.given)-1]
}

// serve joins each connection to one that dial makes, until the test ends. Where dial
// fails, the connection is closed.
func serve(t *testing.T, dial func() (net.Conn, error)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for near, err := listener.Accept(); err == nil; near, err = listener.Accept() {
			go join(near, dial)
		}
	}()
	return listener.Addr().String()
}

func join(near net.Conn, dial func() (net.Conn, error)) {
	defer near.Close()
	far, err := dial()
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		io.Copy(far, near)
		far.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(near, far)
}

// dialFrom dials from a node's network, where its pods are reached.
func dialFrom(node, address string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and not unlocked, so the thread ends with its namespace
		if err = enterNetwork(node); err == nil {
			conn, err = net.DialTimeout("tcp", address, harness.Patience)
		}
	}()
	<-done
	return conn, err
}

func enterNetwork(node string) error {
	pid, err := os.ReadFile(filepath.Join(os.Getenv(harness.EnvKube), node+".pid"))
	if err != nil {
		return err
	}
	network, err := os.Open(filepath.Join("/proc", strings.TrimSpace(string(pid)), "ns", "net"))
	if err != nil {
		return err
	}
	defer network.Close()
	return unix.Setns(int(network.Fd()), unix.CLONE_NEWNET)
}

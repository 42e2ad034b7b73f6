package test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// engineSocket is where the engine that tests use listens.
func engineSocket(t *testing.T) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		return "/var/run/docker.sock"
	}
	socket, isSocket := strings.CutPrefix(host, "unix://")
	if !isSocket {
		missing(t, "DOCKER_HOST is no unix:// socket: "+host)
	}
	return socket
}

// engineProxy stands between a gateway and its engine, and can fail as
// engines and the proxies before them do.
type engineProxy struct {
	address string // as gateway.yaml has it
	engine  string // socket
	tls     *tls.Config

	mu    sync.Mutex
	hangs bool
	conns []net.Conn
	asked bytes.Buffer // the first of what the gateway sent
}

// mostAsked is enough for some sessions, and less than a large file.
const mostAsked = 1 << 20

// startEngineProxy passes on what comes to a unix socket until the test ends.
func startEngineProxy(t *testing.T, socket string) *engineProxy {
	t.Helper()
	return proxyEngine(t, "unix", socket, nil)
}

// startTLSEngine does so for a port, of those who show a certificate, as
// dockerd --tlsverify does. It returns their certificates' directory, too.
func startTLSEngine(t *testing.T) (proxy *engineProxy, certificates string) {
	t.Helper()
	dir := makeCertificates(t)
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(read(t, filepath.Join(dir, "ca.pem"))))
	return proxyEngine(t, "tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}), dir
}

func makeCertificates(t *testing.T) (dir string) {
	t.Helper()
	need(t, "openssl")
	dir = t.TempDir()
	must(t, exec.Command("bash", "-euc", `cd "$1"
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca-key.pem -out ca.pem -subj /CN=ca -days 1
		for name in server client; do
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name-key.pem -out $name.csr -subj /CN=$name
			openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out $name.pem -days 1 \
				-extfile <(echo subjectAltName=IP:127.0.0.1)
		done
		mv client.pem cert.pem; mv client-key.pem key.pem`, "bash", dir))
	return dir
}

func proxyEngine(t *testing.T, network, address string, config *tls.Config) *engineProxy {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	p := &engineProxy{address: network + "://" + listener.Addr().String(), engine: engineSocket(t), tls: config}
	t.Cleanup(func() {
		listener.Close()
		p.cut()
	})
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			p.take(conn)
		}
	}()
	return p
}

func (p *engineProxy) take(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
	if p.hangs {
		return
	}
	if p.tls != nil {
		conn = tls.Server(conn, p.tls)
	}
	go p.passOn(conn)
}

func (p *engineProxy) passOn(conn net.Conn) {
	defer conn.Close()
	engine, err := net.Dial("unix", p.engine)
	if err != nil {
		return
	}
	defer engine.Close()
	go func() {
		io.Copy(engine, io.TeeReader(conn, p))
		engine.(*net.UnixConn).CloseWrite()
	}()
	io.Copy(conn, engine)
}

// Write writes down what the gateway asks.
func (p *engineProxy) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked.Len() < mostAsked {
		p.asked.Write(data)
	}
	return len(data), nil
}

// hang has new connections get no answer, until it is told otherwise.
func (p *engineProxy) hang(hangs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangs = hangs
}

// cut cuts every connection that there is.
func (p *engineProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

func (p *engineProxy) whatWasAsked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked.String()
}

// startEngine starts an engine that needs nothing of the one that tests use.
func startEngine(t *testing.T, dir, socket string) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(dir, "dockerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	engine := exec.Command("dockerd", "--live-restore", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--storage-driver", "vfs",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "dockerd.pid"), "-H", "unix://"+socket)
	engine.Stdout, engine.Stderr = log, log
	// In a network of its own: without a bridge to itself, an engine removes docker0.
	engine.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		engine.Process.Signal(syscall.SIGTERM)
		engine.Wait()
		if t.Failed() {
			t.Log(read(t, log.Name()))
		}
	})
	await(t, "the engine", func() bool {
		return exec.Command("docker", "-H", "unix://"+socket, "version").Run() == nil
	})
	return engine
}

package harness

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// EngineSocket returns the socket of the engine that tests use.
func EngineSocket(t *testing.T) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		return "/var/run/docker.sock"
	}
	socket, isSocket := strings.CutPrefix(host, "unix://")
	if !isSocket {
		Missing(t, "DOCKER_HOST is no unix:// socket: "+host)
	}
	return socket
}

// EngineProxy is a proxy between a gateway and its engine. It can fail as engines and
// proxies do.
type EngineProxy struct {
	Address string // for gateway.yaml
	engine  string // socket
	tls     *tls.Config

	mu    sync.Mutex
	hangs bool
	conns []net.Conn
	asked bytes.Buffer // the beginning of what the gateway has sent
}

// mostAsked is enough for some sessions, but not for a large file.
const mostAsked = 1 << 20

// StartEngineProxy starts a proxy from a unix socket to the engine, which ends with
// the test.
func StartEngineProxy(t *testing.T, socket string) *EngineProxy {
	t.Helper()
	return proxyEngine(t, "unix", socket, nil)
}

// StartTLSEngine starts a proxy from a port that demands a client certificate, like
// dockerd --tlsverify. It also returns the directory of the certificates.
func StartTLSEngine(t *testing.T) (proxy *EngineProxy, certificates string) {
	t.Helper()
	dir := MakeCertificates(t)
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(Read(t, filepath.Join(dir, "ca.pem"))))
	return proxyEngine(t, "tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}), dir
}

// MakeCertificates creates an authority, ca.pem, and a certificate for this machine,
// server.pem with server-key.pem, and returns their directory.
func MakeCertificates(t *testing.T) (dir string) {
	t.Helper()
	Need(t, "openssl")
	dir = t.TempDir()
	runHere(t, dir, "certificates.sh")
	return dir
}

func proxyEngine(t *testing.T, network, address string, config *tls.Config) *EngineProxy {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	p := &EngineProxy{Address: network + "://" + listener.Addr().String(), engine: EngineSocket(t), tls: config}
	t.Cleanup(func() {
		listener.Close()
		p.Cut()
	})
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			p.take(conn)
		}
	}()
	return p
}

func (p *EngineProxy) take(conn net.Conn) {
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

func (p *EngineProxy) passOn(conn net.Conn) {
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

// Write records what the gateway sends.
func (p *EngineProxy) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked.Len() < mostAsked {
		p.asked.Write(data)
	}
	return len(data), nil
}

// Hang makes new connections get no answer, until it is called with false.
func (p *EngineProxy) Hang(hangs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangs = hangs
}

// Cut cuts all connections.
func (p *EngineProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

// Asked returns the beginning of what the gateway has sent to the engine.
func (p *EngineProxy) Asked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked.String()
}

package test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// engineSocket is where the engine that tests use listens.
const engineSocket = "/var/run/docker.sock"

// serveTLS passes connections on to the engine, of those who show a
// certificate, as dockerd --tlsverify does.
func serveTLS(t *testing.T, listener net.Listener, certificates string) {
	t.Helper()
	own, err := tls.LoadX509KeyPair(filepath.Join(certificates, "server.pem"), filepath.Join(certificates, "server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(read(t, filepath.Join(certificates, "ca.pem"))))
	passOnAll(t, tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
}

// passOnAll passes connections on to the engine until the test ends.
func passOnAll(t *testing.T, listener net.Listener) {
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go passOn(conn)
		}
	}()
}

func passOn(conn net.Conn) {
	defer conn.Close()
	engine, err := net.Dial("unix", engineSocket)
	if err != nil {
		return
	}
	defer engine.Close()
	go func() {
		io.Copy(engine, conn)
		engine.(*net.UnixConn).CloseWrite()
	}()
	io.Copy(conn, engine)
}

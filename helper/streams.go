package helper

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"berth/machine"
	"berth/session"
	"berth/sshconn"
	"berth/wire"

	"github.com/hashicorp/yamux"
	"golang.org/x/crypto/ssh"
)

// streams are the two standard streams of a helper, seen from either side.
type streams struct {
	io.Reader
	io.Writer
	close func()
}

func (s streams) Close() error {
	s.close()
	return nil
}

const (
	// maxVisit is the largest visitMessage.
	maxVisit = 16 << 10

	// streamWindow lets one connection of a person have on the way what SSH
	// itself would.
	streamWindow = 2 << 20

	// maxUnaccepted bounds what a container can have the gateway keep of streams
	// that nobody there accepts: 256 KiB each.
	maxUnaccepted = 16

	// serverTimeout bounds the handshake inside: both sides are there.
	serverTimeout = 20 * time.Second
)

// visitMessage goes before SSH on each stream, after its length in four bytes.
type visitMessage struct {
	Env string // as startMessage's
}

// muxed is how connections share the standard streams. Its own keepalive is
// for what cuts idle streams on the way to an engine, such as proxies.
func muxed() *yamux.Config {
	config := yamux.DefaultConfig()
	config.KeepAliveInterval = 30 * time.Second
	config.ConnectionWriteTimeout = time.Minute
	config.MaxStreamWindowSize = streamWindow
	config.AcceptBacklog = maxUnaccepted
	config.LogOutput = io.Discard
	return config
}

// newStreams is the gateway's side. why is why no descriptor crosses.
func newStreams(s streams, hostKey ssh.PublicKey, why error) (*Client, error) {
	mux, err := yamux.Client(s, muxed())
	if err != nil {
		return nil, err
	}
	c := &Client{streams: mux, hostKey: hostKey, why: why, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		<-mux.CloseChan()
	}()
	return c, nil
}

// visit opens a connection to the SSH server in the container.
func (c *Client) visit(env []string) (net.Conn, error) {
	stream, err := c.streams.Open()
	if err != nil {
		return nil, err
	}
	message := ssh.Marshal(visitMessage{Env: joinEnv(env)})
	_, err = stream.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...))
	if err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}

// serveStreams is the helper's side: an SSH server for each stream, until the
// gateway lets go.
func serveStreams(s streams, key ssh.Signer, on *machine.Local) error {
	mux, err := yamux.Server(s, muxed())
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer mux.Close()
	for {
		stream, err := mux.AcceptStream()
		if err != nil {
			return nil
		}
		serving.Go(func() { serveStream(stream, key, on) })
	}
}

// serveStream serves one connection of a person. Whoever has the streams is
// the gateway, and has logged the person in.
func serveStream(stream net.Conn, key ssh.Signer, on *machine.Local) {
	w := wire.New(stream)
	defer w.Close()
	w.SetDeadline(time.Now().Add(serverTimeout))
	visit, err := readVisit(w)
	if err != nil {
		return
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	conn, channels, requests, err := ssh.NewServerConn(w, config)
	if err != nil {
		return
	}
	w.SetDeadline(time.Time{})
	session.Serve(context.Background(), sshconn.Conn{Conn: conn, Channels: channels, Requests: requests}, on, session.Options{
		Env:      splitEnv(visit.Env),
		Ready:    w.Ready,
		Log:      slog.New(slog.DiscardHandler),
		Panicked: func(any, []byte) { w.Conn.Close() },
	})
}

func readVisit(from io.Reader) (visitMessage, error) {
	var visit visitMessage
	var length [4]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return visit, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > maxVisit {
		return visit, errors.New("a message too large")
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(from, message); err != nil {
		return visit, err
	}
	return visit, ssh.Unmarshal(message, &visit)
}

// newHostKey is for one helper's life: it only says that the two ends of a
// stream are the two that met.
func newHostKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}

package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/berth-ssh/berth/kubernetes"
)

// forward connects to a port of a pod through the API server and the pod's node. It
// waits for at most callTimeout.
func (s *Source) forward(ctx context.Context, f found, port int) (net.Conn, error) {
	dialer, err := s.forwarder(f)
	if err != nil {
		return nil, err
	}
	type dialled struct {
		conn httpstream.Connection
		err  error
	}
	answer := make(chan dialled, 1)
	go func() {
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		answer <- dialled{conn, err}
	}()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	select {
	case d := <-answer:
		if d.err != nil {
			return nil, d.err
		}
		return forwarded(d.conn, port)
	case <-ctx.Done():
		go func() { // nobody waits for it any more
			if d := <-answer; d.err == nil {
				d.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// forwarder returns a dialer that uses WebSocket, or SPDY if the other side does not
// know that.
func (s *Source) forwarder(f found) (httpstream.Dialer, error) {
	url, config := s.api.of(f, "portforward").URL(), s.api.as(f.person)
	byWebSocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	bySPDY := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, "POST", url)
	return portforward.NewFallbackDialerForStreaming(byWebSocket, bySPDY, kubernetes.KnowsNoWebSocket), nil
}

// forwarded returns one connection to a port. It uses a connection to the node of its
// own, which is closed with it.
func forwarded(to httpstream.Connection, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	failure, err := to.CreateStream(headers)
	if err != nil {
		to.Close()
		return nil, err
	}
	failure.Close() // this side writes nothing to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := to.CreateStream(headers)
	if err != nil {
		to.Close()
		return nil, err
	}
	ours, theirs := net.Pipe()
	go func() { // an error of the node ends the connection; if the stream just ends, there was none
		said, _ := io.ReadAll(io.LimitReader(failure, maxOutput))
		if len(said) > 0 {
			to.Close()
		}
	}()
	go func() {
		defer to.Close()
		joinPipe(theirs, data)
	}()
	return ours, nil
}

// joinPipe copies in both directions until one has ended, and closes both.
func joinPipe(a net.Conn, b io.ReadWriteCloser) {
	var both sync.WaitGroup
	stop := sync.OnceFunc(func() {
		a.Close()
		b.Close()
	})
	for _, way := range [][2]io.ReadWriter{{a, b}, {b, a}} {
		both.Go(func() {
			defer stop()
			io.Copy(way[0], way[1])
		})
	}
	both.Wait()
}

// reachTimeout is how long a pod's address may take to answer before the API server
// is tried, too.
const reachTimeout = time.Second

// dialPod connects to a port of a pod where the server speaks first, as sshd does: by
// the pod's address, or through the API server if nobody speaks there. An accepted
// connection alone proves nothing, since some networks have proxies that accept all.
func (s *Source) dialPod(ctx context.Context, f found, port int) (net.Conn, error) {
	dialer := net.Dialer{Timeout: reachTimeout}
	direct, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(f.address, strconv.Itoa(port)))
	if err == nil {
		heard := newHeard(direct)
		if heard.speaks(reachTimeout) {
			return heard, nil
		}
		direct.Close()
		err = fmt.Errorf("nobody speaks at %s", f.address)
	}
	through, err2 := s.forward(ctx, f, port)
	if err2 != nil {
		return nil, errors.Join(err, fmt.Errorf("nor by port-forward: %w", err2))
	}
	return through, nil
}

// heard is a connection whose first byte may have been read already.
type heard struct {
	net.Conn
	in *bufio.Reader
}

func newHeard(conn net.Conn) *heard { return &heard{conn, bufio.NewReader(conn)} }

func (h *heard) Read(p []byte) (int, error) { return h.in.Read(p) }

// speaks waits for the first byte, which Read then returns again.
func (h *heard) speaks(within time.Duration) bool {
	h.SetReadDeadline(time.Now().Add(within))
	defer h.SetReadDeadline(time.Time{})
	_, err := h.in.Peek(1)
	return err == nil
}

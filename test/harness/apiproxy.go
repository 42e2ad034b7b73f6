package harness

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// APIProxy stands before a cluster's API server, and does to the streams through it what
// such proxies do.
type APIProxy struct {
	server      *httptest.Server
	idle        time.Duration // a stream that carries nothing for so long is cut; 0: none is
	noWebSocket bool

	mu       sync.Mutex
	streams  []*proxied
	upgrades []string
	idled    int
}

// StartAPIProxy passes on what comes until the test ends.
func StartAPIProxy(t *testing.T) *APIProxy {
	t.Helper()
	NeedCluster(t)
	p := &APIProxy{}
	on := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: APIServer(t)})
	on.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // it is this machine's
	on.ModifyResponse = p.follow
	p.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.refuses(r) {
			http.Error(w, "what is a websocket?", http.StatusBadRequest)
			return
		}
		on.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		p.Cut()
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// CutIdle has streams cut that carry nothing for so long. WebSocket's own signs of life
// are nothing: they are of one hop, and say nothing of the next one.
func (p *APIProxy) CutIdle(after time.Duration) { p.idle = after }

// RefuseWebSocket has the proxy know SPDY alone.
func (p *APIProxy) RefuseWebSocket() { p.noWebSocket = true }

// URL is where the proxy listens.
func (p *APIProxy) URL() string { return p.server.URL }

// Authority is what the proxy's certificate is verified by, as a kubeconfig has it.
func (p *APIProxy) Authority() string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
}

// refuses takes note of what a request wants to become, if anything.
func (p *APIProxy) refuses(r *http.Request) bool {
	wants := r.Header.Get("Upgrade")
	if wants == "" {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upgrades = append(p.upgrades, wants)
	return p.noWebSocket && wants == "websocket"
}

// Upgrades are what requests wanted to become so far.
func (p *APIProxy) Upgrades() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.upgrades)
}

// Idled is how many streams were cut as idle.
func (p *APIProxy) Idled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idled
}

// Cut cuts all streams, as a proxy does whose time for one is up.
func (p *APIProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.streams {
		s.Close()
	}
	p.streams = nil
}

// follow is told of each answer; that of a request which became a stream has the stream.
func (p *APIProxy) follow(answer *http.Response) error {
	stream, isStream := answer.Body.(io.ReadWriteCloser)
	if answer.StatusCode != http.StatusSwitchingProtocols || !isStream {
		return nil
	}
	s := &proxied{ReadWriteCloser: stream}
	if p.idle > 0 {
		s.patience = p.idle
		s.late = time.AfterFunc(p.idle, func() {
			if s.closed.Load() { // the last that was read came after that
				return
			}
			p.mu.Lock()
			p.idled++
			p.mu.Unlock()
			s.Close()
		})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams = append(p.streams, s)
	answer.Body = s
	return nil
}

// proxied is a stream at its other end.
type proxied struct {
	io.ReadWriteCloser
	patience time.Duration
	late     *time.Timer // nil: never
	closed   atomic.Bool
}

func (s *proxied) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	s.heard(p[:n])
	return n, err
}

func (s *proxied) Write(p []byte) (int, error) {
	s.heard(p)
	return s.ReadWriteCloser.Write(p)
}

// mostOfPing is how long a frame of WebSocket's own can be (RFC 6455, 5.2 and 5.5).
const mostOfPing = 2 + 4 + 125

// heard gives the stream more time, unless what came is a ping or a pong.
func (s *proxied) heard(data []byte) {
	isPing := len(data) <= mostOfPing && len(data) > 0 && (data[0] == 0x89 || data[0] == 0x8a)
	if s.late != nil && !isPing {
		s.late.Reset(s.patience)
	}
}

func (s *proxied) Close() error {
	s.closed.Store(true)
	if s.late != nil {
		s.late.Stop()
	}
	return s.ReadWriteCloser.Close()
}

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

// APIProxy is a proxy in front of a cluster's API server. It can fail in the ways in
// which such proxies do.
type APIProxy struct {
	server      *httptest.Server
	idle        time.Duration // a stream without data for this time is cut; 0: never
	noWebSocket bool

	mu       sync.Mutex
	streams  []*proxied
	upgrades []string
	idled    int
}

// StartAPIProxy starts a proxy, which ends with the test.
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

// CutIdle makes the proxy cut streams that carry no data for this time. WebSocket
// pings and pongs do not count: they concern one hop only.
func (p *APIProxy) CutIdle(after time.Duration) { p.idle = after }

// RefuseWebSocket makes the proxy accept only SPDY.
func (p *APIProxy) RefuseWebSocket() { p.noWebSocket = true }

// URL returns the proxy's address.
func (p *APIProxy) URL() string { return p.server.URL }

// Authority returns the certificate that verifies the proxy, in the form of a
// kubeconfig.
func (p *APIProxy) Authority() string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
}

// refuses records to which protocol a request wants to upgrade, and reports whether
// the proxy refuses that.
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

// Upgrades returns the protocols to which requests wanted to upgrade so far.
func (p *APIProxy) Upgrades() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.upgrades)
}

// Idled returns how many streams were cut because they were idle.
func (p *APIProxy) Idled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idled
}

// Cut cuts all streams, like a proxy with a time limit.
func (p *APIProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.streams {
		s.Close()
	}
	p.streams = nil
}

// follow is called with each answer; if the request became a stream, the answer has
// it.
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

// proxied is the proxy's end of a stream to the API server.
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

// mostOfPing is the longest WebSocket control frame (RFC 6455, 5.2 and 5.5).
const mostOfPing = 2 + 4 + 125

// heard gives the stream more time, unless the data is a ping or a pong.
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

package metrics

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Unix begins the address of a unix socket.
const Unix = "unix:"

// Server answers at /metrics, /healthz and /readyz.
type Server struct{ http *http.Server }

// Serve listens at an address, host:port or unix:PATH, and answers until Close.
// Ready says why the gateway is of no use now; nil where it is.
func (m *Metrics) Serve(address string, ready func() error, log *slog.Logger) (*Server, error) {
	listener, err := listen(address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	s := &Server{&http.Server{Handler: mux, ReadTimeout: patience, WriteTimeout: 2 * patience, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "err", err)
		}
	}()
	return s, nil
}

func listen(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, Unix)
	if !isUnix {
		return net.Listen("tcp", address)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another program answers at %s", path)
	} else if errors.Is(err, syscall.ECONNREFUSED) { // it was killed
		os.Remove(path)
	}
	return net.Listen("unix", path)
}

// Close ends it at once.
func (s *Server) Close() { s.http.Close() }

// Package scrape answers Prometheus, and who asks for health, at an address that
// only this machine reaches.
package scrape

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Unix begins the address of a unix socket.
const Unix = "unix:"

// Patience is how long the program that is asked for numbers may take to collect
// them.
const Patience = 5 * time.Second

// IsHere reports whether an address is reachable only from this machine: a port of a
// loopback address, or unix:PATH with an absolute path. Whoever reads the numbers is
// not authenticated.
func IsHere(address string) bool {
	if path, isUnix := strings.CutPrefix(address, Unix); isUnix {
		return filepath.IsAbs(path)
	}
	host, port, err := net.SplitHostPort(address)
	if n, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil || n == 0 {
		return false
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Server answers at /metrics, /healthz and /readyz.
type Server struct{ http *http.Server }

// Serve listens at an address, host:port or unix:PATH, and answers with these numbers
// until Close. ready returns why this program is not ready now; nil if it is.
func Serve(address string, numbers prometheus.Gatherer, ready func() error, log *slog.Logger) (*Server, error) {
	listener, err := listen(address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(numbers, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	s := &Server{&http.Server{Handler: mux, ReadTimeout: Patience, WriteTimeout: 2 * Patience, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}}
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

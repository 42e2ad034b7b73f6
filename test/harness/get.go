package harness

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Get makes an HTTP request to a program at host:port or unix:PATH.
func Get(t *testing.T, address, path string) (text string, status int) {
	t.Helper()
	network := "tcp"
	if socket, is := strings.CutPrefix(address, "unix:"); is {
		network, address = "unix", socket
	}
	client := &http.Client{Timeout: 3 * Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	answer, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all), answer.StatusCode
}

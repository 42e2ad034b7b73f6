package docker

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// A container's log is what its owner likes: an error that ends with a line of
// it must not clear root's terminal, forge a second line or be without end.
func TestAttackByAContainersLastWords(t *testing.T) {
	said := "\x1b[2J\x1b]0;root\aall is well\r\nprovision: done\u202e " + strings.Repeat("x", 1<<20)
	var framed bytes.Buffer
	frame := []byte{byte(stdcopy.Stdout), 0, 0, 0, 0, 0, 0x10, 0}
	framed.Write(append(frame, said[:0x1000]...))
	for name, c := range map[string]struct {
		tty bool
		log string
	}{"with a terminal": {true, said}, "without": {false, framed.String()}} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(c.log)) }))
			defer server.Close()
			api, err := client.New(client.WithHost("tcp://" + server.Listener.Addr().String()))
			if err != nil {
				t.Fatal(err)
			}
			got := LastLine(t.Context(), api, container.InspectResponse{ID: "a", Config: &container.Config{Tty: c.tty}})
			if !strings.HasPrefix(got, "?[2J?]0;root?all is well provision: done? xxx") || len([]rune(got)) > maxLastLine {
				t.Errorf("got %d bytes, %.100q", len(got), got)
			}
		})
	}
}

// A log may be one line without end, or come in any pieces.
func TestTheLastLineIsKeptAndNoMore(t *testing.T) {
	for name, c := range map[string]struct {
		writes []string
		want   string
	}{
		"in pieces":   {[]string{"first\nsec", "ond\nthi", "rd"}, "third"},
		"with an end": {[]string{"first\nsecond\n"}, "second\n"},
		"nothing":     {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var last lastLine
			for _, text := range c.writes {
				last.Write([]byte(text))
			}
			if got := last.text.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	var last lastLine
	for range 100 {
		last.Write([]byte(strings.Repeat("x", 1<<10)))
	}
	if got := last.text.Len(); got != maxLastWords {
		t.Errorf("%d bytes are kept", got)
	}
}
